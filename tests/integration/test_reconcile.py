"""Outcomes that nobody knows are found out by looking, and nothing is sent before that is done."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator import acceptances, dispatch, endings, unknowns
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderTransient,
)
from orchestrator.providers import Walk
from orchestrator.steps import submit
from tests.rig import ANN, GRACE, MakeRig, Rig, lost, vanished

DAY = 86_400


def test_reconcile_adopts_when_list_shows_the_video(rig: Rig) -> None:
    """The video runs on by what was already paid for."""
    video = lost(rig)

    rig.clean_look()

    after = rig.video(video)
    assert ("in_progress", "poll", "up_1") == (after.status, after.step, rig.upstream_id(video))
    assert ["created", "status_changed"] == rig.events(video)
    assert 1 == rig.upstream.count("create")


def test_reconcile_does_nothing_when_nothing_is_due(rig: Rig) -> None:
    """Before the grace is over nobody asks the provider."""
    lost(rig)

    rig.reconcile()

    assert 0 == rig.upstream.count("walk")


def test_reconcile_asks_once_when_many_are_unknown(rig: Rig) -> None:
    """One walk serves all unknown attempts of an account."""
    wanted = [lost(rig, f"kite {n}") for n in range(5)]

    rig.clean_look()

    assert 1 == rig.upstream.count("walk")
    assert ["in_progress"] * 5 == [rig.video(video).status for video in wanted]


def test_reconcile_walks_back_to_the_oldest_that_is_due(rig: Rig) -> None:
    """The look must reach five seconds past the moment at which the oldest was sent."""
    video = lost(rig)
    rig.pass_time(GRACE + 1)
    (attempt,) = rig.attempts(video)

    rig.reconcile()

    until = (attempt.sent_at - timedelta(seconds=5)).isoformat()
    assert [("walk", until)] == [call for call in rig.upstream.calls if call[0] == "walk"]


def test_reconcile_gives_up_after_two_clean_looks_apart(rig: Rig) -> None:
    """One clean look is not enough, nor are two in a row without the grace between."""
    video = vanished(rig)
    rig.clean_look()
    first = rig.attempts(video)[0]
    rig.sql("update attempts set due_at = now()")
    rig.reconcile()
    hasty = rig.attempts(video)[0]
    rig.clean_look()

    assert ("unknown", 1) == (first.state, first.looks)
    assert ("unknown", 1) == (hasty.state, hasty.looks)
    assert ["abandoned"] == rig.states(video)
    assert rig.video(video).due_at is not None


def test_reconcile_counts_no_look_that_began_before_the_grace(rig: Rig) -> None:
    """A webhook makes a look due early: what it does not find says nothing yet."""
    video = vanished(rig)
    rig.sql("update attempts set due_at = now()")

    rig.reconcile()

    (attempt,) = rig.attempts(video)
    assert (1, "unknown", 0) == (rig.upstream.count("walk"), attempt.state, attempt.looks)


def test_next_attempt_starts_when_the_first_is_given_up(rig: Rig) -> None:
    """The video goes back to the backlog, is admitted and submitted again: another attempt."""
    video = vanished(rig)
    rig.clean_look()
    rig.clean_look()

    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert ["abandoned", "accepted"] == rig.states(video)
    assert [f"{video.id}-1", f"{video.id}-2"] == [r.attempt_id for r in rig.upstream.requests]


@pytest.mark.parametrize(
    "error",
    [ProviderTransient(http_status=500), ProviderBusy(http_status=429),
     ProviderMisconfigured(http_status=401)],
)  # fmt: skip
def test_look_is_inconclusive_when_list_fails(rig: Rig, error: Exception) -> None:
    """Ten looks that fail are no look: the attempt stays unknown and is looked for again."""
    video = vanished(rig)
    rig.upstream.script("walk", *[error] * 10)

    for _ in range(10):
        rig.clean_look()

    (attempt,) = rig.attempts(video)
    assert ("unknown", 0) == (attempt.state, attempt.looks)
    assert attempt.due_at is not None
    assert "queued" == rig.video(video).status


def test_look_is_inconclusive_when_list_is_not_read_far_enough(rig: Rig) -> None:
    """A list that ends before the moment of sending may hide the video."""
    video = vanished(rig)
    rig.upstream.reached = False

    for _ in range(5):
        rig.clean_look()

    (attempt,) = rig.attempts(video)
    assert ("unknown", 0) == (attempt.state, attempt.looks)


def test_look_between_does_not_spoil_a_clean_one(rig: Rig) -> None:
    """Clean, inconclusive, clean: that is two clean ones."""
    video = vanished(rig)

    rig.clean_look()
    rig.upstream.script("walk", ProviderTransient())
    rig.clean_look()
    rig.clean_look()

    assert ["abandoned"] == rig.states(video)


def test_reconcile_adopts_from_a_look_that_is_not_clean(rig: Rig) -> None:
    """What is seen is seen, however early or short the look."""
    video = lost(rig)
    rig.upstream.reached = False
    rig.sql("update attempts set due_at = now()")

    rig.reconcile()

    assert "in_progress" == rig.video(video).status


def test_equal_requests_of_two_users_are_interchangeable(rig: Rig) -> None:
    """Both unknown at once: the oldest attempt takes the oldest video."""
    ann, bob = lost(rig, user="ann"), lost(rig, user="bob")

    rig.clean_look()

    assert ("up_1", "up_2") == (rig.upstream_id(ann), rig.upstream_id(bob))


def test_live_video_is_served_before_cancelled_one(rig: Rig) -> None:
    """Of two equal requests only one arrived: it belongs to who still waits."""
    cancelled, live = lost(rig), vanished(rig)
    endings.cancel(rig.ctx, ANN, cancelled.id)

    rig.clean_look()

    assert ["accepted"] == rig.states(live)
    assert ["unknown"] == rig.states(cancelled)


def test_cancel_while_unknown_ends_at_once_and_watches_on(rig: Rig) -> None:
    """Cancelled and released now; the attempt is found later, detached and cancelled upstream."""
    video = lost(rig)

    cancelled = endings.cancel(rig.ctx, ANN, video.id)
    rig.clean_look()
    rig.watch()
    rig.watch()

    (attempt,) = rig.attempts(video)
    assert ("cancelled", "released", 0) == (
        cancelled.status,
        cancelled.quota_state,
        rig.quota().videos_created,
    )
    assert (True, "cancelled", Decimal(0)) == (
        attempt.detached,
        attempt.upstream_status,
        attempt.cost,
    )
    assert ("delete", "up_1") in rig.upstream.calls


def test_provider_videos_that_nobody_asked_for_are_counted_and_left_alone(rig: Rig) -> None:
    """Other applications may share the key: their videos are a number, never touched."""
    rig.upstream.has(prompt="somebody else's")
    rig.upstream.has(prompt="also theirs")
    lost(rig)

    rig.clean_look()

    state = rig.state()
    assert state is not None
    assert 2 == state.unclaimed
    assert {"create", "walk"} == {name for name, _ in rig.upstream.calls}


def test_video_of_an_attempt_of_ours_is_never_adopted_twice(rig: Rig) -> None:
    """An equal video that we know belongs to its own attempt."""
    known = rig.submitted()
    video = vanished(rig)

    rig.clean_look()

    assert ("up_1", ["unknown"]) == (rig.upstream_id(known), rig.states(video))


def test_clock_of_the_provider_is_allowed_for(rig: Rig) -> None:
    """An hour behind, its videos seem older than our sending: the offset of the reply says so."""
    rig.upstream.offset = timedelta(hours=-1)
    video = lost(rig)

    rig.clean_look()

    assert "in_progress" == rig.video(video).status


def test_abandoned_attempt_that_turns_up_late_is_detached(rig: Rig) -> None:
    """The list omitted it, the next attempt runs: the late one is watched, counted, charged."""
    video = lost(rig)
    rig.upstream.hidden.add("up_1")
    rig.clean_look()
    rig.clean_look()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)
    rig.upstream.hidden.clear()
    rig.upstream.becomes("up_1", "completed")

    rig.pass_time(4 * GRACE + 1)
    rig.reconcile()
    rig.watch()

    first, second = rig.attempts(video)
    state = rig.state()
    assert ("accepted", "up_1", True, Decimal("0.4")) == (
        first.state,
        first.provider_video_id,
        first.detached,
        first.cost,
    )
    assert ("accepted", "up_2", False) == (second.state, second.provider_video_id, second.detached)
    assert state is not None
    assert 1 == state.duplicates
    assert ("in_progress", Decimal("0.4")) == (
        rig.video(video).status,
        rig.video(video).cost_actual,
    )


def test_abandoned_attempt_that_turns_up_before_the_next_is_adopted(rig: Rig) -> None:
    """Given up, but not yet submitted again: then it is the one, and nothing is paid twice."""
    video = lost(rig)
    rig.upstream.hidden.add("up_1")
    rig.clean_look()
    rig.clean_look()
    rig.upstream.hidden.clear()

    rig.pass_time(4 * GRACE + 1)
    rig.reconcile()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert (["accepted"], "in_progress") == (rig.states(video), rig.video(video).status)
    assert 1 == rig.upstream.count("create")


def test_abandoned_attempt_is_looked_for_only_for_a_day(rig: Rig) -> None:
    """After that no look is due any longer."""
    video = vanished(rig)
    rig.clean_look()
    rig.clean_look()
    while_young = rig.attempts(video)[0].due_at

    rig.pass_time(DAY)
    rig.reconcile()

    assert while_young is not None
    assert rig.attempts(video)[0].due_at is None


def test_unknown_attempt_is_found_after_more_than_a_day(make_rig: MakeRig) -> None:
    """A provider that was away for two days still has it: never given up without having looked."""
    rig = make_rig(start_timeout_seconds=7 * DAY)
    video = lost(rig)
    rig.upstream.script("walk", ProviderTransient())
    rig.clean_look()
    rig.pass_time(2 * DAY)

    rig.reconcile()

    assert "in_progress" == rig.video(video).status


def test_video_fails_when_max_attempts_are_given_up(make_rig: MakeRig) -> None:
    """The last allowed attempt is given up: failed, released, told."""
    rig = make_rig(max_attempts=2)
    rig.upstream.script("create", ProviderAmbiguous(), ProviderAmbiguous())
    video = rig.want()
    for _ in range(2):
        dispatch.sweep(rig.ctx)
        submit.submit(rig.ctx, video.id)
        rig.clean_look()
        rig.clean_look()

    after = rig.video(video)
    assert ["abandoned", "abandoned"] == rig.states(video)
    assert ("failed", "outcome_unknown", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )
    assert unknowns.OUTCOME_UNKNOWN == after.error_message


def test_deadline_while_unknown_fails_and_watches_on(make_rig: MakeRig) -> None:
    """START_TIMEOUT_SECONDS passes with the provider away: failed; found later, it is detached."""
    rig = make_rig(start_timeout_seconds=3600)
    video = lost(rig)
    rig.pass_time(3601)
    rig.upstream.script("walk", ProviderTransient("Away."))
    rig.reconcile()

    swept = dispatch.sweep(rig.ctx)
    failed = rig.video(video)
    rig.sql("update attempts set due_at = now()")
    rig.reconcile()

    (attempt,) = rig.attempts(video)
    assert 1 == swept.expired
    assert ("failed", "outcome_unknown", "released") == (
        failed.status,
        failed.error_code,
        failed.quota_state,
    )
    assert ("accepted", True) == (attempt.state, attempt.detached)


@pytest.mark.parametrize("unreadable", [True, False])
def test_detached_attempt_is_given_up_after_a_day_when_no_look_succeeds(
    rig: Rig, unreadable: bool
) -> None:
    """Nobody waits for it: it must not hold a slot for ever."""
    video = lost(rig)
    endings.cancel(rig.ctx, ANN, video.id)
    if unreadable:
        rig.upstream.script("walk", ProviderTransient(), ProviderTransient())
    else:
        rig.upstream.reached = False
        rig.upstream.hidden.add("up_1")
    rig.clean_look()
    early = rig.states(video)

    rig.pass_time(DAY)
    rig.reconcile()

    (attempt,) = rig.attempts(video)
    assert (["unknown"], "abandoned", None) == (early, attempt.state, attempt.due_at)
    assert attempt.ended_at is not None


def test_answer_that_comes_during_a_failing_look_is_kept(rig: Rig) -> None:
    """The look fails after the answer was recorded: the running video is not watched away."""
    video = vanished(rig)

    def late() -> Walk:
        (attempt,) = rig.attempts(video)
        found = rig.upstream.has(prompt="a red kite")
        acceptances.accepted(rig.ctx, rig.provider, video.id, attempt.n, found, token=None)
        raise ProviderTransient

    rig.upstream.script("walk", late)
    rig.clean_look()
    rig.watch()

    (attempt,) = rig.attempts(video)
    assert ("accepted", None, None) == (attempt.state, attempt.due_at, attempt.lease_token)
    assert 0 == rig.upstream.count("delete")
