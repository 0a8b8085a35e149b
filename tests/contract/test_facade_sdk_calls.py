"""Ways to call the openai SDK besides the plain one: files, raw answers, streams, asyncio."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.contract.facade_stage import Facade
from tests.core import row
from tests.factories import MOVIE, make_image

SOON = 50
"""Milliseconds between two looks, so that no test waits for the 5 s that clients are asked for."""


def in_asyncio(stage: Facade, session: Callable[[AsyncOpenAI], Awaitable[None]]) -> None:
    """Let a session run with the SDK for asyncio."""

    async def run() -> None:
        async with AsyncOpenAI(base_url=stage.base_url, api_key="anything") as sdk:
            await session(sdk)

    asyncio.run(run())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda path, stack: stack.enter_context(path.open("rb")), id="file"),
        pytest.param(lambda path, _: path, id="path"),
        pytest.param(lambda path, _: path.read_bytes(), id="bytes"),
        pytest.param(lambda path, _: io.BytesIO(path.read_bytes()), id="stream"),
        pytest.param(lambda path, _: ("x", path.read_bytes()), id="name and bytes"),
    ],
)
def test_an_image_is_kept_however_the_sdk_is_given_it(
    client: OpenAI, stage: Facade, tmp_path: Path, given: Callable[[Path, ExitStack], Any]
) -> None:
    """Name and type are the SDK's guess; the bytes decide."""
    path = tmp_path / "kite.png"
    path.write_bytes(make_image())

    with ExitStack() as stack:
        made = client.videos.create(prompt="a kite", input_reference=given(path, stack))

    kept = row(stage.ctx, made.id)
    assert ("image/png", len(make_image())) == (kept.input_type, kept.input_bytes)


def test_an_object_is_not_sent_when_the_sdk_is_given_one(client: OpenAI) -> None:
    """The SDK refuses what its types allow, so the guide shows another call; this test tells when
    that changes.
    """
    with pytest.raises(RuntimeError, match="input_reference"):
        client.videos.create(prompt="a kite", input_reference={"image_url": "data:image/png;,"})
    with pytest.raises(RuntimeError, match="video"):
        client.videos.edit(prompt="in snow", video={"id": "video_1"})
    with pytest.raises(RuntimeError, match="video"):
        client.videos.extend(prompt="it lands", seconds="4", video={"id": "video_1"})


@pytest.mark.parametrize(
    "call",
    [
        lambda videos: videos.edit(prompt="in snow", video=MOVIE),
        lambda videos: videos.extend(prompt="it lands", seconds="4", video=MOVIE),
        lambda videos: videos.create_character(name="Kit", video=MOVIE),
        lambda videos: videos.get_character("char_1"),
    ],
    ids=["edit", "extend", "create_character", "get_character"],
)
def test_a_method_is_unsupported_when_nobody_could_serve_it(
    client: OpenAI, call: Callable[[Any], Any]
) -> None:
    """Videos from elsewhere, and characters."""
    with pytest.raises(openai.BadRequestError) as caught:
        call(client.videos)

    assert "unsupported" == caught.value.code


def test_answers_are_told_raw_when_asked_for(client: OpenAI) -> None:
    """With our headers, and the id by which our log knows the request."""
    reply = client.videos.with_raw_response.create(prompt="a red kite")
    video = reply.parse()

    looked = client.videos.with_raw_response.retrieve(video.id)

    assert (200, "queued") == (reply.status_code, video.status)
    assert reply.headers["x-request-id"] == video._request_id
    assert video.id == looked.parse().id


def test_bytes_are_streamed_when_asked_for(client: OpenAI, tmp_path: Path) -> None:
    """Into a file, without having all in memory; and the same as in one piece."""
    video = client.videos.create_and_poll(prompt="a red kite", poll_interval_ms=SOON)
    target = tmp_path / "kite.mp4"

    with client.videos.with_streaming_response.download_content(video.id) as reply:
        length = int(reply.headers["content-length"])
        reply.stream_to_file(target)

    whole = client.videos.download_content(video.id).read()
    assert (length, whole) == (len(whole), target.read_bytes())


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_each_video_once_when_each_is_deleted_on_the_way(
    client: OpenAI, order: Any
) -> None:
    """People clean up in such a loop; the id that leads to the next page is gone by then."""
    made = [client.videos.create(prompt=f"kite {number}").id for number in range(5)]

    seen = []
    for video in client.videos.list(limit=2, order=order):
        client.videos.delete(video.id)
        seen.append(video.id)

    assert (made if order == "asc" else made[::-1]) == seen
    assert [] == list(client.videos.list())


def test_everything_works_in_asyncio(stage: Facade) -> None:
    """A video and its remix, their bytes, the list, and the end of one."""

    async def session(sdk: AsyncOpenAI) -> None:
        video = await sdk.videos.create_and_poll(prompt="a red kite", poll_interval_ms=SOON)
        made = await sdk.videos.remix(video.id, prompt="a blue kite")
        remix = await sdk.videos.poll(made.id, poll_interval_ms=SOON)
        content = await sdk.videos.download_content(remix.id)
        listed = [found.id async for found in sdk.videos.list(limit=1, order="asc")]
        gone = await sdk.videos.delete(remix.id)

        assert ("completed", "completed") == (video.status, remix.status)
        assert (video.id, b"ftyp") == (remix.remixed_from_video_id, content.content[4:8])
        assert ([video.id, remix.id], True) == (listed, gone.deleted)
        with pytest.raises(openai.NotFoundError):
            await sdk.videos.retrieve(remix.id)

    in_asyncio(stage, session)


def test_equal_calls_are_several_videos_when_they_are_made_at_once(stage: Facade) -> None:
    """Several takes of one prompt are not retries of each other."""

    async def session(sdk: AsyncOpenAI) -> None:
        made = await asyncio.gather(*(sdk.videos.create(prompt="a red kite") for _ in range(6)))
        ended = await asyncio.gather(
            *(sdk.videos.poll(video.id, poll_interval_ms=SOON) for video in made)
        )

        assert 6 == len({video.id for video in ended if video.status == "completed"})

    in_asyncio(stage, session)
