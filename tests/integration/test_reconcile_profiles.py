"""Outcomes that nobody knows, where the list of the provider tells less, or something else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator import dispatch, endings, holds
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderRejected,
    Unsupported,
)
from orchestrator.providers import CreateRequest, ProviderVideo, Walk
from orchestrator.steps import submit
from tests.rig import ANN, GRACE, MakeRig, Rig, lost, make_catalog, vanished

DAY = 86_400


# Providers without a usable list.


def test_unknown_is_held_when_nothing_can_tell(make_rig: MakeRig) -> None:
    """`hold`: an operator decides; nothing is sent, nothing is looked for."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="hold"))
    video = vanished(rig)

    rig.pass_time(3600)
    dispatch.sweep(rig.ctx)
    rig.reconcile()

    after = rig.video(video)
    assert ("queued", "outcome_unknown", "reserved") == (
        after.status,
        after.hold_reason,
        after.quota_state,
    )
    assert ["created", "held"] == rig.events(video)
    assert ["create"] == [name for name, _ in rig.upstream.calls]


def test_unknown_is_submitted_again_when_profile_says_retry(make_rig: MakeRig) -> None:
    """`retry`: given up at once, the next attempt may start; MAX_ATTEMPTS bounds it."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="retry"), max_attempts=3)
    rig.upstream.script("create", *[ProviderAmbiguous()] * 3)
    video = rig.want()

    for _ in range(5):
        dispatch.sweep(rig.ctx)
        submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    assert ["abandoned"] * 3 == rig.states(video)
    assert ("failed", "outcome_unknown") == (after.status, after.error_code)


def test_abandoned_attempt_is_not_looked_for_when_there_is_no_list(make_rig: MakeRig) -> None:
    """A look that cannot be is not repeated for ever."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="retry"))
    rig.upstream.script("walk", *[Unsupported()] * 3)
    video = vanished(rig)

    rig.pass_time(4 * GRACE + 1)
    rig.reconcile()

    assert ("abandoned", None) == (rig.attempts(video)[0].state, rig.attempts(video)[0].due_at)


def test_unknown_fails_when_profile_says_fail(make_rig: MakeRig) -> None:
    """`fail`: the user learns it at once; the attempt holds its slot for a day, then is let go."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="fail"))
    rig.upstream.script("walk", *[Unsupported()] * 3)
    video = vanished(rig)
    early = rig.attempts(video)[0]

    rig.pass_time(DAY + 1)
    rig.reconcile()

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("failed", "outcome_unknown", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )
    assert (None, True) == (early.ended_at, early.detached)
    assert ("abandoned", None) == (attempt.state, attempt.due_at)


def test_held_video_that_is_cancelled_lets_go_of_its_slot_after_a_day(make_rig: MakeRig) -> None:
    """Without a list nobody will ever know: a day is enough."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="hold"))
    rig.upstream.script("walk", *[Unsupported()] * 3)
    video = vanished(rig)
    endings.cancel(rig.ctx, ANN, video.id)
    rig.reconcile()
    early = rig.states(video)

    rig.pass_time(DAY + 1)
    rig.reconcile()

    assert (["unknown"], ["abandoned"]) == (early, rig.states(video))
    assert 2 >= rig.upstream.count("walk")


# A provider that honours our Idempotency-Key (an orchestrator upstream).


def test_unknown_is_sent_again_under_its_key_when_that_is_free(make_rig: MakeRig) -> None:
    """`resend`: the same key, the same attempt; the provider answers with what it made of it."""
    rig = make_rig(catalog=make_catalog(on_unknown="resend"))
    video = lost(rig)
    rig.upstream.script("create", lambda _: rig.upstream.videos["up_1"])

    rig.clean_look()

    keys = [request.attempt_id for request in rig.upstream.requests]
    assert [f"{video.id}-1", f"{video.id}-1"] == keys
    assert (["accepted"], "in_progress") == (rig.states(video), rig.video(video).status)


@pytest.mark.parametrize("error", [ProviderAmbiguous(), ProviderBusy(http_status=429)])
def test_resend_is_repeated_when_its_outcome_is_unknown_too(
    make_rig: MakeRig, error: Exception
) -> None:
    """It stays unknown and the same key is tried again."""
    rig = make_rig(catalog=make_catalog(on_unknown="resend"))
    video = lost(rig)
    rig.upstream.script("create", error, lambda _: rig.upstream.videos["up_1"])

    rig.clean_look()
    between = rig.states(video)
    rig.pass_time(120)
    rig.reconcile()

    assert (["unknown"], ["accepted"]) == (between, rig.states(video))


def test_resend_fails_video_when_request_is_refused(make_rig: MakeRig) -> None:
    """Told now that it will never do: failed and released."""
    rig = make_rig(catalog=make_catalog(on_unknown="resend"))
    video = vanished(rig)
    rig.upstream.script("create", ProviderRejected("No.", http_status=400))

    rig.clean_look()

    assert ("failed", "released") == (rig.video(video).status, rig.video(video).quota_state)


def test_resend_spares_video_that_was_cancelled(make_rig: MakeRig) -> None:
    """Sending it again might order what nobody wants: it is looked for in the list instead."""
    rig = make_rig(catalog=make_catalog(on_unknown="resend"))
    video = vanished(rig)
    endings.cancel(rig.ctx, ANN, video.id)

    rig.clean_look()

    assert (1, 1) == (rig.upstream.count("create"), rig.upstream.count("walk"))


def test_two_spellings_of_an_id_are_one_video(make_rig: MakeRig) -> None:
    """A list that spells the id of a video of ours in another way shows nothing new."""
    rig = make_rig()
    known = rig.submitted()
    spelled = replace(rig.upstream.videos["up_1"], id="video_abc")
    video = vanished(rig)
    rig.upstream.script("walk", lambda: Walk((spelled,), True, timedelta(0)))

    rig.clean_look()

    assert ("up_1", ["unknown"]) == (rig.upstream_id(known), rig.states(video))


def test_cancelled_attempt_takes_no_video_that_an_equal_one_may_be_told(
    make_rig: MakeRig,
) -> None:
    """Where a key brings the same id each time, whoever finds it taken could never be settled: the
    list is for what nobody waits for, and only when no equal one is open.
    """
    rig = make_rig(catalog=make_catalog(on_unknown="resend"))
    cancelled = lost(rig)
    endings.cancel(rig.ctx, ANN, cancelled.id)

    def answer(request: CreateRequest) -> ProviderVideo:
        found = rig.upstream.accept(request)
        rig.clean_look()
        return found

    rig.upstream.script("create", answer)

    wanted = rig.submitted()
    rig.pass_time(GRACE + 60)
    rig.reconcile()

    assert ("in_progress", "up_2") == (wanted.status, rig.upstream_id(wanted))
    assert "up_1" == rig.upstream_id(cancelled)


# Lists that show less than their profile says.


def vaguely(rig: Rig) -> Walk:
    """The list, without prompts."""
    listed = rig.upstream.listing()
    videos = tuple(replace(found, prompt=None) for found in listed.videos)
    return replace(listed, videos=videos)


def test_nobody_gets_anothers_video_when_the_list_shows_too_little(rig: Rig) -> None:
    """Two prompts, one video, and no way to tell whose: both wait for an operator."""
    red = lost(rig, "a red kite")
    rig.upstream.script("create", ProviderAmbiguous())
    blue = rig.submitted("a blue kite")
    rig.upstream.script("walk", lambda: vaguely(rig), lambda: vaguely(rig))

    rig.clean_look()
    rig.clean_look()

    reasons = [rig.video(video).hold_reason for video in (red, blue)]
    assert ["ambiguous", "ambiguous"] == reasons
    assert [["unknown"], ["unknown"]] == [rig.states(red), rig.states(blue)]


def test_ambiguity_ends_when_an_operator_has_decided_about_one(rig: Rig) -> None:
    """What is left fits one only: it is adopted by itself, and held no longer."""
    red = lost(rig, "a red kite")
    rig.upstream.script("create", ProviderAmbiguous())
    blue = rig.submitted("a blue kite")
    rig.upstream.script("walk", *[lambda: vaguely(rig)] * 3)
    rig.clean_look()
    rig.clean_look()

    holds.resolve(rig.ctx, blue.id, "retry")
    rig.clean_look()

    after = rig.video(red)
    assert ("in_progress", None, "up_1") == (
        after.status,
        after.hold_reason,
        rig.upstream_id(red),
    )


def test_held_video_is_released_when_the_list_shows_that_it_was_not_taken(rig: Rig) -> None:
    """The list has become clear, and it is not there: submitted again, without an operator."""
    lost(rig, "a red kite")
    rig.upstream.script("create", ProviderAmbiguous())
    blue = rig.submitted("a blue kite")
    rig.upstream.script("walk", lambda: vaguely(rig), lambda: vaguely(rig))
    rig.clean_look()
    rig.clean_look()

    rig.clean_look()

    after = rig.video(blue)
    assert ("queued", None, ["abandoned"]) == (after.status, after.hold_reason, rig.states(blue))
    assert ["held", "released"] == rig.events(blue)[-2:]


def test_cancelled_attempt_is_given_up_after_a_day_of_ambiguity(rig: Rig) -> None:
    """Nobody waits for it, and nobody is asked about it."""
    red = lost(rig, "a red kite")
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted("a blue kite")
    endings.cancel(rig.ctx, ANN, red.id)
    rig.upstream.script("walk", *[lambda: vaguely(rig)] * 4)
    for _ in range(3):
        rig.clean_look()
    early = rig.states(red)

    rig.pass_time(DAY + 1)
    rig.reconcile()

    assert (["unknown"], ["abandoned"]) == (early, rig.states(red))
    assert rig.video(red).hold_reason is None
