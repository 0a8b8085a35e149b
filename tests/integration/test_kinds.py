"""Edits and extensions: kinds of video with attempts like any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator import submissions
from orchestrator.catalog import PROFILES
from orchestrator.errors import (
    Conflict,
    InvalidRequest,
    ProviderAmbiguous,
    ProviderRejected,
    Unsupported,
)
from orchestrator.lifecycle import Kind
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.records import Video
from orchestrator.steps import submit
from orchestrator.wishes import IdempotencyKey
from tests.rig import ANN, Rig, make_catalog


@pytest.fixture
def source(rig: Rig) -> Video:
    """A completed video of 4 seconds."""
    video = rig.generated(seconds="4")
    rig.store(video)
    return rig.video(video)


def edit(rig: Rig, source: Video) -> Video:
    """Ask for a changed version."""
    return submissions.edit(rig.ctx, ANN, source.id, "in snow").video


def extend(rig: Rig, source: Video, seconds: str = "6") -> Video:
    """Ask for more of it."""
    return submissions.extend(rig.ctx, ANN, source.id, "it lands", seconds).video


def test_edit_is_like_its_source_when_asked_for(rig: Rig, source: Video) -> None:
    """Another prompt, and the place of the source at its provider."""
    video = edit(rig, source)

    assert (Kind.EDIT, source.id, "in snow") == (
        video.kind,
        video.remixed_from_video_id,
        video.prompt,
    )
    assert (source.model, source.seconds, source.size, source.provider, source.account) == (
        video.model,
        video.seconds,
        video.size,
        video.provider,
        video.account,
    )
    assert ["created"] == rig.events(video)


def test_extension_is_as_long_as_both_when_asked_for(rig: Rig, source: Video) -> None:
    """What is added is kept, and is what it costs."""
    video = extend(rig, source)

    assert ("10", "6") == (video.seconds, video.extension_seconds)
    assert 0.6 == float(video.cost_estimated)


@pytest.mark.parametrize(("make", "call"), [(edit, "edit"), (extend, "extend")])
def test_source_is_named_as_the_provider_knows_it_when_submitted(
    rig: Rig, source: Video, make: Callable[[Rig, Video], Video], call: str
) -> None:
    """An extension asks for what is added, not for the whole."""
    video = make(rig, source)

    submit.submit(rig.ctx, video.id)

    assert (call, rig.upstream_id(source)) in rig.upstream.calls
    assert "in_progress" == rig.video(video).status
    assert {"edit": "4", "extend": "6"}[call] == rig.upstream.requests[-1].seconds


def test_extension_is_charged_for_what_it_adds_when_done(rig: Rig, source: Video) -> None:
    """The provider tells the whole length; the source was paid for before."""
    video = extend(rig, source)
    submit.submit(rig.ctx, video.id)
    rig.upstream.becomes(rig.upstream_id(video), "completed", seconds="10")
    rig.look(video)
    rig.store(rig.video(video))

    done = rig.video(video)
    assert ("completed", 0.6) == (done.status, float(done.cost_actual))


def test_extension_is_found_by_its_whole_length_when_its_answer_was_lost(
    rig: Rig, source: Video
) -> None:
    """As the provider's list shows it: one attempt, adopted."""

    def takes_and_breaks(source_id: str, request: CreateRequest) -> ProviderVideo:
        rig.upstream.has(
            model=request.model, seconds="10", size=request.size, prompt=request.prompt
        )
        raise ProviderAmbiguous("The answer was cut.")

    rig.upstream.script("extend", takes_and_breaks)
    video = extend(rig, source)

    submit.submit(rig.ctx, video.id)
    unknown = rig.states(video)
    rig.clean_look()

    assert (["unknown"], ["accepted"]) == (unknown, rig.states(video))
    assert 1 == rig.upstream.count("extend")


@pytest.mark.parametrize(("make", "call"), [(edit, "edit"), (extend, "extend")])
def test_video_fails_when_its_source_is_gone_upstream(
    rig: Rig, source: Video, make: Callable[[Rig, Video], Video], call: str
) -> None:
    """With that reason, and its place in the quota given back."""
    video = make(rig, source)
    rig.upstream.script(call, ProviderRejected("Gone.", code="source_gone", http_status=404))

    submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    assert ("failed", "source_gone", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )


@pytest.mark.parametrize("make", [edit, extend])
def test_retry_is_of_the_same_kind_when_one_failed(
    rig: Rig, source: Video, make: Callable[[Rig, Video], Video]
) -> None:
    """The same source, length and price, at the same provider."""
    video = make(rig, source)
    rig.upstream.script(
        {edit: "edit", extend: "extend"}[make], ProviderRejected("No.", http_status=400)
    )
    submit.submit(rig.ctx, video.id)

    again = submissions.retry(rig.ctx, ANN, video.id).video

    def kept(one: Video) -> tuple[object, ...]:
        return (one.kind, one.remixed_from_video_id, one.seconds, one.extension_seconds,
                one.cost_estimated, one.fingerprint, one.provider, one.account)  # fmt: skip

    assert kept(video) == kept(again)
    assert video.id == again.retry_of


def test_extensions_differ_when_they_add_different_lengths(rig: Rig, source: Video) -> None:
    """One key does not stand for both."""
    key = IdempotencyKey("k-1", "POST /v1/videos/extensions")

    first = submissions.extend(rig.ctx, ANN, source.id, "it lands", "6", key=key)
    same = submissions.extend(rig.ctx, ANN, source.id, "it lands", "6", key=key)
    edited = submissions.edit(rig.ctx, ANN, source.id, "it lands").video

    assert (first.video.id, True) == (same.video.id, same.replayed)
    assert first.video.fingerprint != edited.fingerprint
    assert first.video.fingerprint != extend(rig, source, "8").fingerprint


@pytest.mark.parametrize("seconds", ["0", "61", "x", "-1"])
def test_extension_is_refused_when_its_length_is_not_allowed(
    rig: Rig, source: Video, seconds: str
) -> None:
    """By the rule of the source's provider, which the message tells."""
    with pytest.raises(InvalidRequest, match="seconds must be a whole number") as caught:
        extend(rig, source, seconds)

    assert "seconds" == caught.value.param


@pytest.mark.parametrize("make", [edit, extend])
def test_unfinished_source_is_a_conflict_when_named(
    rig: Rig, make: Callable[[Rig, Video], Video]
) -> None:
    """The message says what cannot be done, and what it is."""
    with pytest.raises(Conflict, match=r"can be (edited|extended); this one is queued") as caught:
        make(rig, rig.want())

    assert "not_completed" == caught.value.code


@pytest.mark.parametrize(("make", "kind"), [(edit, "edits"), (extend, "extensions")])
def test_kind_is_unsupported_when_the_provider_lacks_it(
    make_rig: Callable[..., Rig], make: Callable[[Rig, Video], Video], kind: str
) -> None:
    """Said before anything is looked up; the sandbox and OpenAI have both."""
    rig = make_rig(catalog=make_catalog(**{kind: False}))

    with pytest.raises(Unsupported):
        make(rig, rig.want())

    offering = {name for name, profile in PROFILES.items() if getattr(profile, kind)}
    assert {"openai", "sandbox"} == offering
