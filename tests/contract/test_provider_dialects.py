"""The adapter through every dialect of the sandbox: one life of a video, and how it can end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from PIL import Image

from orchestrator.catalog import PROFILES, Profile, Provider
from orchestrator.errors import (
    ContentNotReady,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderRejected,
    ProviderTransient,
    Unsupported,
)
from orchestrator.providers import CreateRequest, InputReference, Span, VideoProvider, open_provider
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from tests.clock import Clock

pytestmark = pytest.mark.matrix

RENDER = 10.0


@dataclass
class Stage:
    """A sandbox, the adapter that speaks to it, and the clock of the first."""

    provider: VideoProvider
    profile: Profile
    sandbox: RunningSandbox
    clock: Clock

    def render(self) -> None:
        """Let the time pass that a video takes."""
        self.clock.now += RENDER

    def misbehave(self, faults: str) -> None:
        self._control("PUT", "faults", faults.encode())

    def forget(self) -> None:
        self._control("POST", "forget", b"")

    def counts(self) -> tuple[int, int]:
        """How many creates have arrived, and how many were accepted."""
        state = self._control("GET", "state", None)
        return state["requests"].get("create", 0), state["accepted"]["total"]

    def _control(self, method: str, what: str, body: bytes | None) -> Any:
        url = f"{self.sandbox.root_url}/sandbox/{what}"
        request = Request(url, body, {"Content-Type": "text/plain"}, method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=10) as reply:
            return json.loads(reply.read())


@contextmanager
def stage(dialect: str, **settings: Any) -> Iterator[Stage]:
    clock = Clock()
    running = running_sandbox(
        dialect=dialect, instant_video=True, render_seconds=RENDER, clock=clock, **settings
    )
    with running as sandbox:
        profile = PROFILES[dialect]
        provider = open_provider(
            # A short key like this is part of many texts, and must not be blotted out of ids.
            Provider("main", profile, sandbox.base_url, api_key="v", read_timeout=5.0),
            sleep=lambda seconds: None,
        )
        try:
            yield Stage(provider, profile, sandbox, clock)
        finally:
            provider.close()


@pytest.fixture(params=sorted(PROFILES))
def on(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage(request.param) as opened:
        yield opened


def wish(prompt: str = "a cat", attempt: str = "video_1-1", **changes: Any) -> CreateRequest:
    return CreateRequest(attempt, "sora-2", prompt, "4", "720x1280", **changes)


def png(width: int, height: int) -> bytes:
    """A real picture of that size."""
    file = BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def test_a_video_is_created_watched_and_downloaded(on: Stage) -> None:
    """The main job works in every dialect."""
    created = on.provider.create(wish())
    early = on.provider.retrieve(created.id)
    on.render()
    late = on.provider.retrieve(created.id)
    with on.provider.download(created.id) as download:
        data = b"".join(download.chunks)

    assert early.status in {"queued", "in_progress"}
    assert (early.status_known, late.status) == (True, "completed")
    assert created.canonical_id == early.canonical_id == late.canonical_id
    assert "4" == late.seconds
    assert data[4:8] == b"ftyp"
    assert len(data) == download.content_length


def test_content_is_not_ready_while_the_video_is_made(on: Stage) -> None:
    """However a server says "not yet", it is no failure."""
    created = on.provider.create(wish())

    with pytest.raises(ContentNotReady), on.provider.download(created.id):
        pass


def test_a_failed_job_is_an_answer(on: Stage) -> None:
    """With an HTTP error or without, with a code or without: it failed, and says why."""
    created = on.provider.create(wish("a [fail] cat"))
    on.render()

    video = on.provider.retrieve(created.id)

    assert "failed" == video.status
    assert video.error_code
    assert video.error_message


def test_moderation_is_recognised_on_the_job(on: Stage) -> None:
    """A job that is blocked carries one code, whatever the server calls it."""
    created = on.provider.create(wish("a [moderation] cat"))
    on.render()

    video = on.provider.retrieve(created.id)

    assert ("failed", "moderation_blocked") == (video.status, video.error_code)


def test_moderation_is_recognised_at_the_door(on: Stage) -> None:
    """A create that is blocked is rejected for good."""
    with pytest.raises(ProviderRejected) as caught:
        on.provider.create(wish("a [refuse] cat"))

    assert "moderation_blocked" == caught.value.code


def test_the_list_shows_what_the_profile_echoes(on: Stage) -> None:
    """A lost create can be found again by the fields that the profile promises."""
    if on.profile.list == "none":
        pytest.skip("this profile has no list")
    created = on.provider.create(wish())
    other = on.provider.create(wish("a dog", "video_2-1"))

    walk = on.provider.walk(Span(until=datetime.now(UTC) - timedelta(days=400), max_pages=5))

    found = {video.canonical_id: video for video in walk.videos}
    shown = found[created.canonical_id]
    sent = {"model": "sora-2", "seconds": "4", "size": "720x1280", "prompt": "a cat"}
    assert {created.canonical_id, other.canonical_id} == set(found)
    assert {name: sent[name] for name in on.profile.echoes} == {
        name: getattr(shown, name) for name in on.profile.echoes
    }
    assert walk.reached


def test_a_long_list_is_walked_to_its_end(on: Stage) -> None:
    """More videos than fit on a page are all found."""
    if on.profile.list == "none" or on.profile.max_in_flight:
        pytest.skip("this profile has no list, or too few slots to fill a page")
    ids = {on.provider.create(wish(attempt=f"video_{n}-1")).canonical_id for n in range(103)}

    walk = on.provider.walk(Span(until=datetime.now(UTC) - timedelta(days=400), max_pages=5))

    assert ids == {video.canonical_id for video in walk.videos}
    assert walk.reached


def test_a_deleted_video_is_missing(on: Stage) -> None:
    """Whatever a delete answers, the video is gone afterwards."""
    created = on.provider.create(wish())
    if not on.profile.has_delete:
        with pytest.raises(Unsupported):
            on.provider.delete(created.id)
        return

    on.provider.delete(created.id)

    with pytest.raises(ProviderMissing):
        on.provider.retrieve(created.id)


def test_a_remix_is_made_where_the_profile_has_it(on: Stage) -> None:
    """A remix is a video of its own; elsewhere it is refused before any call."""
    source = on.provider.create(wish())
    on.render()
    if on.profile.remix == "none":
        with pytest.raises(Unsupported):
            on.provider.remix(source.id, wish("a dog", "video_2-1"))
        return

    remix = on.provider.remix(source.id, wish("a dog", "video_2-1"))

    assert remix.canonical_id != source.canonical_id
    assert remix.status in {"queued", "in_progress"}


def test_a_remix_of_a_missing_source_is_rejected(on: Stage) -> None:
    """The source is gone: that is no fault of the provider's settings."""
    if on.profile.remix == "none":
        pytest.skip("this profile has no remix")
    source = on.provider.create(wish())
    on.forget()

    with pytest.raises(ProviderRejected) as caught:
        on.provider.remix(source.id, wish("a dog", "video_2-1"))

    assert "source_gone" == caught.value.code


def test_variants_come_where_the_profile_has_them(on: Stage) -> None:
    """Thumbnails and spritesheets are images of their own, or not offered at all."""
    created = on.provider.create(wish())
    on.render()

    for variant in ("thumbnail", "spritesheet"):
        if variant in on.profile.variants:
            with on.provider.download(created.id, variant) as download:
                assert download.content_type.startswith("image/")
                assert b"".join(download.chunks)
        else:
            with pytest.raises(Unsupported), on.provider.download(created.id, variant):
                pass


def test_an_image_is_accepted(on: Stage) -> None:
    """Each server reads a reference image in the encoding of its profile."""
    image = InputReference("cat.png", "image/png", png(720, 1280))

    created = on.provider.create(wish(input_reference=image))

    assert created.status in {"queued", "in_progress"}


def test_the_probe_finds_no_fault_with_its_own_dialect(on: Stage) -> None:
    """A profile and its server agree."""
    on.provider.create(wish())

    probe = on.provider.probe()

    assert probe.reachable
    assert probe.key_accepted
    assert () == probe.problems


def test_a_restart_that_forgets_makes_videos_missing(on: Stage) -> None:
    """A job that the server has lost is missing, not failed."""
    created = on.provider.create(wish())
    on.forget()

    with pytest.raises(ProviderMissing):
        on.provider.retrieve(created.id)


CREATE_FAULTS = {
    "accept_then_cut": (ProviderAmbiguous, 1),
    "500_after_accept": (ProviderAmbiguous, 1),
    "html_after_accept": (ProviderAmbiguous, 1),
    "no_id": (ProviderAmbiguous, 1),
    "cut": (ProviderAmbiguous, 0),
    "500": (ProviderAmbiguous, 0),
    "502": (ProviderAmbiguous, 0),
    "html": (ProviderAmbiguous, 0),
    "429": (ProviderBusy, 0),
    "429_retry_after:7": (ProviderBusy, 0),
    "503_retry_after:7": (ProviderBusy, 0),
    "401": (ProviderMisconfigured, 0),
    "403": (ProviderMisconfigured, 0),
    "quota": (ProviderMisconfigured, 0),
    "no_model": (ProviderMisconfigured, 0),
    "400": (ProviderRejected, 0),
    "moderation": (ProviderRejected, 0),
}
"""What the adapter raises, and how many jobs the server then has."""

READ_FAULTS = {
    "404": ProviderMissing,
    "429": ProviderBusy,
    "500": ProviderTransient,
    "html": ProviderTransient,
    "cut": ProviderTransient,
    "401": ProviderMisconfigured,
}


def test_a_create_is_sent_once_whatever_goes_wrong(on: Stage) -> None:
    """One POST a call: the server has accepted what it accepted, and never twice."""
    seen = {}
    posts = []

    for number, fault in enumerate(CREATE_FAULTS):
        # A capped server must not refuse for want of room.
        on.clock.now += 2 * RENDER
        posts_before, accepted_before = on.counts()
        on.misbehave(f"create.{fault}@1")
        with pytest.raises(ProviderError) as caught:
            on.provider.create(wish(attempt=f"video_{number}-1"))
        posts_after, accepted_after = on.counts()
        seen[fault] = (type(caught.value), accepted_after - accepted_before)
        posts.append(posts_after - posts_before)

    assert CREATE_FAULTS == seen
    assert {1} == set(posts)


def test_a_bad_poll_is_never_a_failed_video(on: Stage) -> None:
    """Whatever goes wrong with a question, it says nothing about the video."""
    created = on.provider.create(wish())
    seen = {}

    for fault in READ_FAULTS:
        on.misbehave(f"get.{fault}")
        with pytest.raises(ProviderError) as caught:
            on.provider.retrieve(created.id)
        seen[fault] = type(caught.value)

    assert READ_FAULTS == seen


def test_an_unknown_status_counts_as_running(on: Stage) -> None:
    """A word that nobody knows yet is reported as such, and waited out."""
    created = on.provider.create(wish())
    on.misbehave("get.unknown_status")

    video = on.provider.retrieve(created.id)

    assert ("in_progress", False) == (video.status, video.status_known)


def test_a_truncated_download_is_noticed(on: Stage) -> None:
    """Half a video is no video."""
    created = on.provider.create(wish())
    on.render()
    on.misbehave("content.truncated")

    with pytest.raises(ProviderTransient), on.provider.download(created.id) as download:
        list(download.chunks)
