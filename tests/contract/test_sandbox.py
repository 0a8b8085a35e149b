"""The sandbox as the openai SDK sees it: the published protocol, over HTTP."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import openai
import pytest
from openai import OpenAI
from PIL import Image

from orchestrator.sandbox.books import report
from orchestrator.sandbox.render import stamped_id
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from tests.clock import Clock

PATIENCE_SECONDS = 60


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Iterator[RunningSandbox]:
    """A sandbox whose videos take ten seconds of that clock and are always the same tiny file."""
    with running_sandbox(clock=clock, instant_video=True, render_seconds=10) as running:
        yield running


@pytest.fixture
def client(provider: RunningSandbox) -> Iterator[OpenAI]:
    with sdk(provider) as opened:
        yield opened


def sdk(provider: RunningSandbox, key: str = "sk-any") -> OpenAI:
    """A client without TLS: loading the certificates takes longer than most tests here."""
    return OpenAI(
        base_url=provider.base_url,
        api_key=key,
        max_retries=0,
        timeout=30,
        http_client=openai.DefaultHttpxClient(verify=False),
    )


def refused(error: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str | None]:
    return error.value.status_code, error.value.param


def png() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(target, "PNG")
    return target.getvalue()


def test_video_completes_when_its_time_has_come(client: OpenAI, clock: Clock) -> None:
    """Queued, in progress with a number, then completed with dates and an expiry."""
    created = client.videos.create(prompt="a cat", model="sora-2-pro", seconds="8", size="1280x720")
    clock.now += 5
    running = client.videos.retrieve(created.id)
    clock.now += 5
    done = client.videos.retrieve(created.id)

    assert (created.status, created.progress, created.seconds) == ("queued", 0, "8")
    assert (created.model, created.size, created.prompt) == ("sora-2-pro", "1280x720", "a cat")
    assert (running.status, running.progress) == ("in_progress", 50)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    assert (done.completed_at, done.expires_at) == (clock.now, clock.now + 86_400)


def test_video_is_playable_when_it_was_really_rendered(tmp_path: Path) -> None:
    """The whole way with a real renderer: the asked size, length and motion."""
    with running_sandbox(render_seconds=0) as provider, sdk(provider) as client:
        video = client.videos.create(prompt="a cat", seconds="2", size="128x96")
        done = client.videos.poll(video.id, poll_interval_ms=50)
        client.videos.download_content(video.id).write_to_file(tmp_path / "cat.mp4")

    with av.open(tmp_path / "cat.mp4") as container:
        stream = container.streams.video[0]
        frames = [bytes(frame.planes[0]) for frame in container.decode(stream)]

    assert done.status == "completed"
    assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 96)
    assert len(frames) == 48
    assert len(set(frames)) > 24


def test_content_comes_in_three_variants(client: OpenAI, clock: Clock) -> None:
    """MP4 with the job's stamp, WebP, JPEG; each with its length."""
    video = client.videos.create(prompt="a cat")
    clock.now += 10

    replies = {
        variant: client.videos.download_content(video.id, variant=variant).response
        for variant in ("video", "thumbnail", "spritesheet")
    }

    assert stamped_id(replies["video"].content) == video.id
    assert {name: reply.headers["content-type"] for name, reply in replies.items()} == {
        "video": "video/mp4",
        "thumbnail": "image/webp",
        "spritesheet": "image/jpeg",
    }
    for reply in replies.values():
        assert int(reply.headers["content-length"]) == len(reply.content)


def test_content_is_missing_when_the_video_is_not_ready(client: OpenAI) -> None:
    """The published protocol answers 404 until there are bytes."""
    video = client.videos.create(prompt="a cat")

    with pytest.raises(openai.NotFoundError, match="not ready yet"):
        client.videos.download_content(video.id)


def test_content_is_missing_when_it_has_expired(client: OpenAI, clock: Clock) -> None:
    """The video is still shown, its bytes are gone."""
    video = client.videos.create(prompt="a cat")
    clock.now += 10 + 86_400

    with pytest.raises(openai.NotFoundError, match="expired"):
        client.videos.download_content(video.id)
    assert client.videos.retrieve(video.id).status == "completed"


def test_unknown_variant_is_refused(client: OpenAI, clock: Clock) -> None:
    """The answer names the field."""
    video = client.videos.create(prompt="a cat")
    clock.now += 10

    with pytest.raises(openai.BadRequestError, match="thumbnail") as error:
        client.videos.download_content(video.id, variant="gif")  # type: ignore[arg-type]
    assert refused(error) == (400, "variant")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_list_is_walked_to_its_end_when_paged(client: OpenAI, clock: Clock, order: str) -> None:
    """The SDK finds each video exactly once, in order, and stops."""
    ids = []
    for number in range(5):
        clock.now += 1
        ids.append(client.videos.create(prompt=f"cat {number}").id)

    found = [video.id for video in client.videos.list(limit=2, order=order)]  # type: ignore[arg-type]
    page = client.videos.list(limit=2)
    last = client.videos.list(limit=5)

    assert found == (ids if order == "asc" else ids[::-1])
    assert (page.first_id, page.last_id, page.has_more) == (ids[4], ids[3], True)  # type: ignore[attr-defined]
    assert (last.last_id, last.has_more) == (ids[0], False)


def test_list_goes_on_behind_a_video_that_was_deleted(client: OpenAI) -> None:
    """A cursor does not depend on its video."""
    ids = [client.videos.create(prompt="a cat").id for _ in range(3)]
    client.videos.delete(ids[1])

    assert [video.id for video in client.videos.list(after=ids[1])] == [ids[0]]


def test_deleted_video_is_gone(client: OpenAI) -> None:
    """The reply says so, and so does everything after it."""
    video = client.videos.create(prompt="a cat")

    reply = client.videos.delete(video.id)

    assert (reply.id, reply.object, reply.deleted) == (video.id, "video.deleted", True)
    assert list(client.videos.list()) == []
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.videos.retrieve(video.id)


def test_remix_follows_its_source(client: OpenAI, clock: Clock) -> None:
    """It has the source's size, length and model, and names it."""
    source = client.videos.create(prompt="a cat", model="sora-2-pro", seconds="8", size="640x480")
    clock.now += 10

    remix = client.videos.remix(source.id, prompt="at night")

    assert remix.remixed_from_video_id == source.id
    assert (remix.model, remix.seconds, remix.size) == ("sora-2-pro", "8", "640x480")


def test_remix_is_refused_when_its_source_is_not_completed(client: OpenAI) -> None:
    """There is nothing yet to be remixed."""
    source = client.videos.create(prompt="a cat")

    with pytest.raises(openai.BadRequestError, match="not completed"):
        client.videos.remix(source.id, prompt="at night")


def test_edit_and_extension_build_on_a_video(client: OpenAI, clock: Clock) -> None:
    """Both take `video: {id}`; an extension tells the length of the whole."""
    source = client.videos.create(prompt="a cat", seconds="8")
    clock.now += 10
    body = {"prompt": "more", "video": {"id": source.id}, "seconds": "4"}

    edited = client.post("/videos/edits", body=body, cast_to=openai.types.Video)
    extended = client.post("/videos/extensions", body=body, cast_to=openai.types.Video)

    assert (edited.seconds, extended.seconds) == ("8", "12")


def test_edit_takes_a_file_when_the_sdk_sends_one(client: OpenAI) -> None:
    """The SDK's own form of edit is an upload."""
    edited = client.videos.edit(prompt="more", video=("cat.mp4", b"bytes", "video/mp4"))

    assert edited.status == "queued"


def test_reference_image_is_accepted_in_every_form(client: OpenAI, clock: Clock) -> None:
    """As a file, as an object in JSON, and as a bracketed form field."""
    uploaded = client.videos.create(prompt="a", input_reference=("a.png", png(), "image/png"))
    by_url = client.post(
        "/videos",
        body={"prompt": "a", "input_reference": {"image_url": "https://example.test/a.png"}},
        cast_to=openai.types.Video,
    )
    bracketed = client.videos.create(
        prompt="a", extra_body={"input_reference[image_url]": "https://example.test/a.png"}
    )

    assert len({uploaded.id, by_url.id, bracketed.id}) == 3


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"prompt": ""}, "prompt", "1 to 32000"),
        ({"prompt": "x" * 32_001}, "prompt", "1 to 32000"),
        ({"prompt": 7}, "prompt", "Missing required"),
        ({}, "prompt", "Missing required"),
        ({"prompt": "a", "seconds": "61"}, "seconds", "1 to 60"),
        ({"prompt": "a", "seconds": 0}, "seconds", "1 to 60"),
        ({"prompt": "a", "seconds": "4.5"}, "seconds", "1 to 60"),
        ({"prompt": "a", "seconds": True}, "seconds", "1 to 60"),
        ({"prompt": "a", "size": "721x1280"}, "size", "both even"),
        ({"prompt": "a", "size": "8x8"}, "size", "16..4096"),
        ({"prompt": "a", "size": "large"}, "size", "WIDTHxHEIGHT"),
        ({"prompt": "a", "model": ["sora"]}, "model", "string"),
        ({"prompt": "a", "input_reference": "cat.png"}, "input_reference", "expected a file"),
        ({"prompt": "a", "input_reference": {}}, "input_reference", "exactly one"),
        (
            {"prompt": "a", "input_reference": {"image_url": "data:image/png;base64,AAAA"}},
            "input_reference",
            "not a readable",
        ),
        (
            {"prompt": "a", "input_reference": {"image_url": "file:///a.png"}},
            "input_reference.image_url",
            "http",
        ),
    ],
)
def test_bad_field_is_named_when_a_create_is_refused(
    client: OpenAI, fields: dict[str, object], param: str, message: str
) -> None:
    """400, the field, and what it allows; nothing is accepted."""
    with pytest.raises(openai.BadRequestError, match=message) as error:
        client.post("/videos", body=fields, cast_to=openai.types.Video)

    assert refused(error) == (400, param)
    assert isinstance(error.value.body, dict)
    assert set(error.value.body) == {"message", "type", "param", "code"}
    assert list(client.videos.list()) == []


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("text/plain", "prompt=a", 415),
        ("application/x-www-form-urlencoded", "prompt=a&video[id]=none", 200),
        ("application/json", '{"prompt": "a", "input_reference": {"file_id": "file_1"}}', 200),
        ("application/json", '{"prompt": "a", "input_reference": {"image_url": 7}}', 400),
        ("application/json", '{"prompt": "a", "video": 7}', 400),
        ("application/json", '{"prompt": "\\ud800 \\u0000"}', 200),
    ],
)
def test_strange_body_is_answered_with_a_status_of_its_own(
    provider: RunningSandbox, client: OpenAI, content_type: str, body: str, status: int
) -> None:
    """Whatever comes in, nothing breaks."""
    reply = client._client.post(
        f"{provider.base_url}/videos", content=body.encode(), headers={"Content-Type": content_type}
    )

    assert reply.status_code == status


def test_data_url_colours_the_video(provider: RunningSandbox, client: OpenAI) -> None:
    """A reference that came along is used."""
    url = "data:image/png;base64," + base64.b64encode(png()).decode()

    client.post(
        "/videos",
        body={"prompt": "a", "input_reference": {"image_url": url}},
        cast_to=openai.types.Video,
    )

    assert provider.sandbox.jobs.everything()[0].look.palette[0] == (200, 10, 10)


def test_extension_is_refused_when_the_whole_gets_too_long(client: OpenAI, clock: Clock) -> None:
    """Two minutes in all."""
    source = client.videos.create(prompt="a cat", seconds="60")
    clock.now += 10
    body = {"prompt": "more", "video": {"id": source.id}, "seconds": "60"}
    longer = client.post("/videos/extensions", body=body, cast_to=openai.types.Video)
    clock.now += 10

    with pytest.raises(openai.BadRequestError, match="120 seconds") as error:
        client.post(
            "/videos/extensions",
            body={**body, "video": {"id": longer.id}},
            cast_to=openai.types.Video,
        )

    assert error.value.param == "seconds"


@pytest.mark.parametrize("query", ["limit=101", "limit=-1", "limit=x", "order=up", "after=nothing"])
def test_list_is_refused_when_its_parameters_make_no_sense(client: OpenAI, query: str) -> None:
    """The answer names the parameter."""
    with pytest.raises(openai.BadRequestError) as error:
        client.get(f"/videos?{query}", cast_to=object)

    assert error.value.param == query.partition("=")[0]


def test_defect_is_a_plain_server_error(caplog: pytest.LogCaptureFixture) -> None:
    """What breaks inside stays inside."""

    def broken_clock() -> float:
        raise RuntimeError("the clock fell down")

    with (
        running_sandbox(clock=broken_clock) as provider,
        sdk(provider) as client,
        pytest.raises(openai.InternalServerError) as error,
    ):
        client.videos.create(prompt="a cat")

    assert "clock" not in str(error.value)
    assert "the clock fell down" in caplog.text


def test_upload_is_refused_when_it_is_no_image(client: OpenAI) -> None:
    """The part needs the type of an image."""
    with pytest.raises(openai.BadRequestError, match="image/webp") as error:
        client.videos.create(prompt="a", input_reference=("a.txt", b"text", "text/plain"))

    assert error.value.code == "invalid_type"


@pytest.mark.parametrize(
    ("marker", "code"),
    [("[moderation]", "moderation_blocked"), ("[fail]", "video_generation_failed")],
)
def test_marked_prompt_fails_after_acceptance(
    client: OpenAI, clock: Clock, marker: str, code: str
) -> None:
    """Words in the prompt choose the fate."""
    video = client.videos.create(prompt=f"a cat {marker}")
    clock.now += 10

    failed = client.videos.retrieve(video.id)

    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == code
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(video.id)


def test_marked_prompt_is_refused_at_the_door(client: OpenAI) -> None:
    """`[refuse]` never becomes a job."""
    with pytest.raises(openai.BadRequestError) as error:
        client.videos.create(prompt="a cat [refuse]")

    assert error.value.code == "moderation_blocked"


def test_replies_carry_the_headers_of_a_provider(client: OpenAI, clock: Clock) -> None:
    """A request id, a date, and while it runs a hint when to look again."""
    created = client.videos.with_raw_response.create(prompt="a cat")
    clock.now += 20
    done = client.videos.with_raw_response.retrieve(created.parse().id)

    assert created.headers["x-request-id"].startswith("req_")
    assert created.headers["openai-poll-after-ms"] == "10000"
    assert "date" in created.headers
    assert "openai-poll-after-ms" not in done.headers


def test_models_are_listed(client: OpenAI) -> None:
    """Two models, as a default."""
    assert [model.id for model in client.models.list()] == ["sora-2", "sora-2-pro"]


def test_wrong_key_is_refused_when_there_is_one() -> None:
    """401 in the envelope of the protocol; the right key is let in."""
    with running_sandbox(api_key="sk-right", instant_video=True) as provider:
        with sdk(provider, "sk-right") as right:
            right.videos.create(prompt="a cat")
        with sdk(provider, "sk-wrong") as wrong, pytest.raises(openai.AuthenticationError) as error:
            wrong.videos.create(prompt="a cat")

    assert error.value.code == "invalid_api_key"


def test_unknown_path_is_worded_like_any_other_refusal(client: OpenAI) -> None:
    """404 and 405 have the envelope, too."""
    with pytest.raises(openai.NotFoundError) as error:
        client.get("/nothing", cast_to=object)

    assert isinstance(error.value.body, dict)
    assert set(error.value.body) == {"message", "type", "param", "code"}


def test_bodies_never_mix_when_one_connection_serves_many_requests(client: OpenAI) -> None:
    """A refused upload does not spoil the connection for the next request."""
    for _ in range(5):
        with pytest.raises(openai.NotFoundError):
            client.post("/nothing", body={"filler": "x" * 200_000}, cast_to=object)
        assert client.videos.create(prompt="a cat").status == "queued"


def test_concurrent_creates_are_all_accepted(client: OpenAI) -> None:
    """Each of forty simultaneous requests gets its own video."""
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(client.videos.create(prompt="a cat").id))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert len(set(ids)) == 40
    assert {video.id for video in client.videos.list(limit=15)} == set(ids)


def test_jobs_survive_when_there_is_a_folder(tmp_path: Path, clock: Clock) -> None:
    """After a restart finished and unfinished videos go on, and counting does, too."""
    options = {"clock": clock, "data": tmp_path, "instant_video": True, "render_seconds": 10}
    with running_sandbox(**options) as before, sdk(before) as client:  # type: ignore[arg-type]
        done = client.videos.create(prompt="a cat", extra_headers={"Idempotency-Key": "k"})
        clock.now += 10
        running = client.videos.create(prompt="[fail]")
        deleted = client.videos.create(prompt="a dog")
        client.videos.delete(deleted.id)

    with running_sandbox(**options) as after, sdk(after) as client:  # type: ignore[arg-type]
        clock.now += 10
        found = {video.id: video.status for video in client.videos.list()}
        content = client.videos.download_content(done.id).read()
        books = report(after.sandbox)

    assert found == {done.id: "completed", running.id: "failed"}
    assert stamped_id(content) == done.id
    assert (books["accepted"]["total"], books["jobs"][0]["idempotency_key"]) == (3, "k")


def test_rendering_goes_on_when_the_process_was_restarted_in_between(tmp_path: Path) -> None:
    """A job that lost its renderer gets another one."""
    with running_sandbox(data=tmp_path, render_seconds=3600) as before, sdk(before) as client:
        video = client.videos.create(prompt="a cat", seconds="1", size="64x64")

    late = lambda: time.time() + 3600  # noqa: E731 - a clock that stands an hour later
    with running_sandbox(data=tmp_path, clock=late) as after, sdk(after) as client:
        done = client.videos.poll(video.id, poll_interval_ms=50)

    assert done.status == "completed"


def test_state_is_plain_json(provider: RunningSandbox, client: OpenAI) -> None:
    """Whoever checks the books reads them over HTTP."""
    video = client.videos.create(prompt="a cat", extra_headers={"Idempotency-Key": "k1"})

    reply = client._client.get(provider.root_url + "/sandbox/state")
    (job,) = json.loads(reply.content)["jobs"]

    assert (job["id"], job["status"], job["accepted_count"]) == (video.id, "queued", 1)
    assert (job["idempotency_key"], job["seconds"], job["size"]) == ("k1", 4, "720x1280")
