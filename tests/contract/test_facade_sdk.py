"""The unmodified openai SDK is content with the facade."""

from __future__ import annotations

import base64
import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Video

from orchestrator.lifecycle import Status
from tests.contract.facade_stage import Facade
from tests.core import row
from tests.factories import make_image

SOON = 50
"""Milliseconds between two looks, so that no test waits for the 5 s that clients are asked for."""


def finished(client: OpenAI, prompt: str = "a red kite", **fields: Any) -> Video:
    """A video that has come to its end."""
    return client.videos.create_and_poll(prompt=prompt, poll_interval_ms=SOON, **fields)


def low_level(client: OpenAI, path: str, **body: Any) -> Video:
    """A call whose JSON body the SDK's own methods cannot send."""
    return client.post(path, body=body, cast_to=Video)


def test_a_video_is_made_when_created_and_polled(client: OpenAI) -> None:
    """From the prompt to playable bytes, with everything that was asked for told again."""
    video = finished(client, model="sora-2", seconds="8", size="1280x720")

    content = client.videos.download_content(video.id)
    assert ("completed", 100, None) == (video.status, video.progress, video.error)
    assert ("sora-2", "8", "1280x720") == (video.model, video.seconds, video.size)
    assert "a red kite" == video.prompt
    assert b"ftyp" == content.read()[4:8]


def test_a_video_starts_from_an_image_when_one_is_sent(client: OpenAI, stage: Facade) -> None:
    """As a file, which is how the SDK sends it."""
    image = make_image(size=(16, 16))

    video = finished(client, input_reference=("kite.png", image, "image/png"))

    assert "completed" == video.status
    assert len(image) == row(stage.ctx, video.id).input_bytes


def test_a_video_starts_from_an_image_when_its_bytes_are_in_the_json(
    client: OpenAI, stage: Facade
) -> None:
    """As an object, which other clients send, in JSON and in the fields of a form."""
    url = f"data:image/png;base64,{base64.b64encode(make_image()).decode()}"

    by_json = low_level(client, "/videos", prompt="a kite", input_reference={"image_url": url})
    by_form = client.post(
        "/videos",
        body={"prompt": "a kite", "input_reference": {"image_url": url}},
        options={"headers": {"Content-Type": "multipart/form-data"}},
        files=[],
        cast_to=Video,
    )

    kept = {row(stage.ctx, made.id).input_sha256 for made in (by_json, by_form)}
    assert 1 == len(kept - {None})


def test_a_failed_video_says_why_when_polled(client: OpenAI) -> None:
    """A failure is data of the video, not an HTTP error."""
    video = finished(client, "something [moderation]")

    assert "failed" == video.status
    assert video.error is not None
    assert "moderation_blocked" == video.error.code
    assert video.progress < 100


def test_the_wait_is_told_when_a_video_is_looked_at(client: OpenAI) -> None:
    """In the only header that the SDK reads for it."""
    made = client.videos.create(prompt="a red kite")

    reply = client.videos.with_raw_response.retrieve(made.id)

    assert 5000 <= int(reply.headers["openai-poll-after-ms"]) <= 15_000


def test_pages_hold_each_video_once_when_listed(client: OpenAI) -> None:
    """Newest first or oldest first, however small the pages."""
    made = [client.videos.create(prompt=f"kite {number}").id for number in range(5)]

    newest = [video.id for video in client.videos.list(limit=2)]
    oldest = [video.id for video in client.videos.list(limit=3, order="asc")]

    assert (made[::-1], made) == (newest, oldest)


def test_pages_go_on_when_the_last_video_was_deleted_meanwhile(client: OpenAI) -> None:
    """What was deleted still holds its place in the list."""
    made = [client.videos.create(prompt=f"kite {number}").id for number in range(4)]
    first = client.videos.list(limit=2)
    assert first.last_id is not None
    client.videos.delete(first.last_id)

    second = first.get_next_page()

    assert [made[1], made[0]] == [video.id for video in second.data]


def test_every_variant_is_there_when_a_video_is_done(client: OpenAI, stage: Facade) -> None:
    """Video, thumbnail and spritesheet, each with its own media type."""
    video = finished(client)
    while row(stage.ctx, video.id).spritesheet_key is None:
        time.sleep(SOON / 1000)

    types = {}
    for variant in ("video", "thumbnail", "spritesheet"):
        reply = client.videos.with_raw_response.download_content(video.id, variant=variant)
        types[variant] = reply.headers["content-type"]

    expected = {"video": "video/mp4", "thumbnail": "image/webp", "spritesheet": "image/jpeg"}
    assert expected == types


def test_content_is_not_found_when_a_video_is_not_ready(client: OpenAI) -> None:
    """As the vendor answers; clients save no error as a video."""
    made = client.videos.create(prompt="a kite", extra_body={"run_at": "ignored"})
    client.videos.delete(made.id)
    waiting = client.videos.create(prompt="[fail] kite")
    failed = client.videos.poll(waiting.id, poll_interval_ms=SOON)

    for video_id in (made.id, failed.id):
        with pytest.raises(openai.NotFoundError):
            client.videos.download_content(video_id)


def test_a_remix_names_its_source_when_made(client: OpenAI) -> None:
    """And comes to its end like any other."""
    source = finished(client)

    made = client.videos.remix(source.id, prompt="a blue kite")
    remix = client.videos.poll(made.id, poll_interval_ms=SOON)

    assert ("completed", source.id) == (remix.status, remix.remixed_from_video_id)
    assert (source.seconds, source.size) == (remix.seconds, remix.size)


def test_an_edit_and_an_extension_come_to_their_end_when_asked_for(
    client: OpenAI, stage: Facade
) -> None:
    """An extension is as long as both together, and costs what it adds."""
    source = finished(client, seconds="4")

    edit = low_level(client, "/videos/edits", prompt="in snow", video={"id": source.id})
    longer = low_level(
        client, "/videos/extensions", prompt="it lands", seconds="8", video={"id": source.id}
    )
    edit, longer = (client.videos.poll(made.id, poll_interval_ms=SOON) for made in (edit, longer))

    assert ("completed", "4") == (edit.status, edit.seconds)
    assert ("completed", "12") == (longer.status, longer.seconds)
    costs = [row(stage.ctx, video.id).cost_actual for video in (source, edit, longer)]
    assert [0.4, 0.4, 0.8] == [float(cost) for cost in costs]


def test_a_deleted_video_is_gone_when_asked_for(client: OpenAI) -> None:
    """The answer is the SDK's own type, and a second look finds nothing."""
    made = client.videos.create(prompt="a red kite")

    gone = client.videos.delete(made.id)

    assert (made.id, "video.deleted", True) == (gone.id, gone.object, gone.deleted)
    with pytest.raises(openai.NotFoundError) as caught:
        client.videos.retrieve(made.id)
    assert "not_found" == caught.value.code


def test_errors_are_explained_when_a_request_breaks_a_rule(client: OpenAI) -> None:
    """The SDK finds message, type, parameter and code."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.videos.create(prompt="a kite", seconds="99")  # type: ignore[arg-type]

    assert ("seconds", "invalid_value", "invalid_request_error") == (
        caught.value.param,
        caught.value.code,
        caught.value.type,
    )
    assert "60" in caught.value.message


def test_models_are_listed_when_asked_for(client: OpenAI) -> None:
    """All of them, and each by its name."""
    names = [model.id for model in client.models.list()]

    assert ["sora-2", "sora-2-pro"] == names
    assert "sora-2-pro" == client.models.retrieve("sora-2-pro").id
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sora-3")


def test_an_equal_video_is_made_when_somebody_asks_again_on_purpose(client: OpenAI) -> None:
    """Equal requests are not retries: several takes of one prompt are what people want."""
    first, second = (client.videos.create(prompt="a red kite") for _ in range(2))

    assert first.id != second.id


def test_the_same_video_comes_back_when_the_caller_sends_a_key(client: OpenAI) -> None:
    """The SDK sends one if it is told to."""
    header = {"Idempotency-Key": "k-1"}

    first, second = (
        client.videos.create(prompt="a red kite", extra_headers=header) for _ in range(2)
    )

    assert first.id == second.id
    with pytest.raises(openai.UnprocessableEntityError):
        client.videos.create(prompt="a blue kite", extra_headers=header)


def test_a_cancelled_video_has_failed_when_the_sdk_asks(client: OpenAI, stage: Facade) -> None:
    """The SDK knows four statuses, and would wait for ever or return early at a fifth."""
    made = client.videos.create(prompt="a red kite")
    with stage.app.test_client() as native:
        native.post(f"/api/videos/{made.id}/cancel")

    video = client.videos.poll(made.id, poll_interval_ms=SOON)

    assert Status.CANCELLED == row(stage.ctx, made.id).status
    assert ("failed", "cancelled") == (video.status, video.error and video.error.code)
