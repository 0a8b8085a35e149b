"""Polling: what the provider says of a video moves it; a bad look says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator import endings, pauses
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderTransient,
)
from orchestrator.providers import ProviderVideo, Walk
from orchestrator.records import Video
from orchestrator.steps import poll
from tests.core import race
from tests.rig import ANN, MakeRig, Rig, make_catalog


def running(rig: Rig, number: int) -> list[Video]:
    """So many videos at work."""
    return [rig.submitted(f"kite {n}") for n in range(number)]


# How it looks.


@pytest.mark.parametrize(("number", "walks", "gets"), [(1, 0, 1), (3, 0, 3), (4, 1, 0), (9, 1, 0)])
def test_poll_uses_the_list_for_many_and_single_gets_for_few(
    rig: Rig, number: int, walks: int, gets: int
) -> None:
    """From four on one list call is cheaper."""
    videos = running(rig, number)

    rig.look(*videos)

    assert (walks, gets) == (rig.upstream.count("walk"), rig.upstream.count("retrieve"))


def test_poll_asks_for_each_when_there_is_no_list(make_rig: MakeRig) -> None:
    """A profile without a list is never asked for one."""
    rig = make_rig(catalog=make_catalog(list="none"))
    videos = running(rig, 5)

    rig.look(*videos)

    assert (0, 5) == (rig.upstream.count("walk"), rig.upstream.count("retrieve"))


def test_poll_asks_singly_for_what_the_list_omits(rig: Rig) -> None:
    """Absence from a list is no 404: the video is asked for, and is there."""
    videos = running(rig, 5)
    rig.upstream.hidden.add("up_3")
    rig.upstream.becomes("up_3", "in_progress", progress=40)

    rig.look(*videos)

    assert [("retrieve", "up_3")] == [c for c in rig.upstream.calls if c[0] == "retrieve"]
    assert (40, None) == (rig.video(videos[2]).progress, rig.video(videos[2]).missing_since)


def test_poll_recognises_listed_video_by_its_canonical_id(rig: Rig) -> None:
    """Servers whose ids differ between create and list."""
    videos = running(rig, 4)

    def walk() -> Walk:
        shown = rig.upstream.listing()
        spelled = [replace(v, id=f"list_{v.id}", status="completed") for v in shown.videos]
        return replace(shown, videos=tuple(spelled))

    rig.upstream.script("walk", walk)

    rig.look(*videos)

    assert ["store"] * 4 == [rig.video(video).step for video in videos]


def test_poll_does_nothing_when_video_is_not_due_or_over(rig: Rig) -> None:
    """A message too early, twice or too late asks nobody."""
    video = rig.submitted()
    over = rig.submitted()
    endings.cancel(rig.ctx, ANN, over.id)

    poll.poll(rig.ctx, [video.id, over.id, "video_" + "0" * 32])

    assert 0 == rig.upstream.count("retrieve")


def test_poll_asks_once_when_ten_messages_race(rig: Rig) -> None:
    """Ten deliveries of one message at once are one look."""
    video = rig.submitted()
    rig.due(video)

    race(*[lambda: poll.poll(rig.ctx, [video.id])] * 10)

    assert 1 == rig.upstream.count("retrieve")


def test_poll_is_taken_over_when_its_worker_died(rig: Rig) -> None:
    """An expired lease is no obstacle; a living one is."""
    video = rig.submitted()
    rig.sql("update videos set lease_token = 'x', lease_until = now() + interval '1 minute'")
    rig.look(video)
    held = rig.upstream.count("retrieve")
    rig.expire_leases()

    rig.look(video)

    assert (0, 1) == (held, rig.upstream.count("retrieve"))


# What it sees.


def test_progress_never_falls_and_is_told_only_when_it_changes(rig: Rig) -> None:
    """30, 30, 10, 60: two events."""
    video = rig.submitted()
    seen = []
    for progress in (30, 30, 10, 60):
        rig.upstream.becomes("up_1", "in_progress", progress=progress)
        rig.look(video)
        seen.append(rig.video(video).progress)

    assert [30, 30, 30, 60] == seen
    assert ["created", "status_changed", "progress", "progress"] == rig.events(video)


@pytest.mark.parametrize(("said", "shown"), [(None, 0), (-5, 0), (100, 98), (1000, 98)])
def test_progress_is_kept_within_reason(rig: Rig, said: int | None, shown: int) -> None:
    """Whatever the provider says, 99 means that it has finished and 100 that we have it."""
    video = rig.submitted()
    rig.upstream.becomes("up_1", "in_progress", progress=said)

    rig.look(video)

    assert shown == rig.video(video).progress


def test_unknown_status_counts_as_running(rig: Rig) -> None:
    """A word that we do not know fails nothing."""
    video = rig.submitted()
    rig.upstream.becomes("up_1", "in_progress", raw_status="warming_up", status_known=False)

    rig.look(video)

    after = rig.video(video)
    assert ("in_progress", "poll", None) == (after.status, after.step, after.lease_token)


def test_finished_video_goes_to_the_store_step(rig: Rig) -> None:
    """At 99 %, its slot free, its cost booked, its bytes due now and rung for."""
    video = rig.submitted(seconds="8")
    rig.upstream.becomes("up_1", "completed", expires_at=datetime.now(UTC) + timedelta(hours=5))

    rig.look(video)

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("in_progress", "store", 99) == (after.status, after.step, after.progress)
    assert (Decimal("0.8"), Decimal("0.8")) == (after.cost_actual, attempt.cost)
    assert attempt.ended_at is not None
    assert attempt.content_expires_at is not None
    assert 4.9 < (attempt.content_expires_at - attempt.ended_at).total_seconds() / 3600 < 5.1
    assert ("store", video.id) == rig.rings[-1]


@pytest.mark.parametrize(
    ("shown", "cost"),
    [({"seconds": "12"}, "1.2"), ({"seconds": None}, "0.4"), ({"size": "320x240"}, "0.4")],
)
def test_cost_follows_what_the_provider_made(
    rig: Rig, shown: dict[str, str | None], cost: str
) -> None:
    """Asked for 4 seconds, given 12: 12 are charged. What it does not say is as asked."""
    video = rig.submitted(seconds="4")
    rig.upstream.becomes("up_1", "completed", **shown)

    rig.look(video)

    assert Decimal(cost) == rig.video(video).cost_actual


@pytest.mark.parametrize("expires", [None, datetime(2020, 1, 1, tzinfo=UTC)])
def test_content_lasts_as_the_profile_says_when_the_provider_does_not(
    make_rig: MakeRig, expires: datetime | None
) -> None:
    """No expiry, or one in the past (clocks): the retention of the profile."""
    rig = make_rig(catalog=make_catalog(retention=timedelta(hours=2)))
    video = rig.submitted()
    rig.upstream.becomes("up_1", "completed", expires_at=expires)

    rig.look(video)

    (attempt,) = rig.attempts(video)
    assert attempt.content_expires_at is not None
    assert attempt.ended_at is not None
    assert 1.9 < (attempt.content_expires_at - attempt.ended_at).total_seconds() / 3600 < 2.1


def test_failed_video_fails_with_the_reason_and_is_not_submitted_again(rig: Rig) -> None:
    """What a provider accepted is never submitted again automatically."""
    video = rig.submitted()
    rig.upstream.becomes(
        "up_1", "failed", error_code="moderation_blocked", error_message="Too violent."
    )

    rig.look(video)

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("failed", "moderation_blocked", "Too violent.") == (
        after.status,
        after.error_code,
        after.error_message,
    )
    assert ("released", 0, Decimal(0)) == (
        after.quota_state,
        rig.quota().videos_created,
        rig.quota().cost_used,
    )
    assert ("failed", False) == (attempt.upstream_status, attempt.ended_at is None)
    assert 1 == rig.upstream.count("create")


def test_failure_without_a_reason_gets_one(rig: Rig) -> None:
    """People are told something."""
    video = rig.submitted()
    rig.upstream.becomes("up_1", "failed")

    rig.look(video)

    after = rig.video(video)
    assert ("provider_failed", "The provider could not make this video.") == (
        after.error_code,
        after.error_message,
    )


def test_cancel_during_the_look_wins(rig: Rig) -> None:
    """The provider has finished it, but it was cancelled meanwhile: it stays cancelled."""
    video = rig.submitted()

    def retrieve(_: str) -> ProviderVideo:
        endings.cancel(rig.ctx, ANN, video.id)
        rig.upstream.becomes("up_1", "completed")
        return rig.upstream.videos["up_1"]

    rig.upstream.script("retrieve", retrieve)

    rig.look(video)

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("cancelled", None, Decimal(0)) == (after.status, after.step, after.cost_actual)
    assert (True, None) == (attempt.detached, attempt.ended_at)


def test_cancel_during_a_look_that_finds_a_failure_wins(rig: Rig) -> None:
    """The same when the provider says failed: the attempt is still open and watched to its end."""
    video = rig.submitted()

    def retrieve(_: str) -> ProviderVideo:
        endings.cancel(rig.ctx, ANN, video.id)
        rig.upstream.becomes("up_1", "failed")
        return rig.upstream.videos["up_1"]

    rig.upstream.script("retrieve", retrieve)
    rig.look(video)
    rig.watch()

    after = rig.video(video)
    assert ("cancelled", "released") == (after.status, after.quota_state)


# 404.


def test_missing_video_is_lost_only_after_the_grace(make_rig: MakeRig) -> None:
    """404 for less than MISSING_GRACE_SECONDS says nothing; for longer: lost and released."""
    rig = make_rig(missing_grace_seconds=60)
    video = rig.submitted()
    del rig.upstream.videos["up_1"]
    rig.look(video)
    first = rig.video(video)
    rig.pass_time(50)
    rig.look(video)
    still = rig.video(video)

    rig.pass_time(11)
    rig.look(video)

    after = rig.video(video)
    assert ("in_progress", "in_progress") == (first.status, still.status)
    assert first.missing_since is not None
    assert ("failed", "lost", "released") == (after.status, after.error_code, after.quota_state)
    assert 1 == rig.upstream.count("create")


def test_missing_video_that_comes_back_is_as_before(make_rig: MakeRig) -> None:
    """Behind a balancer a 404 passes: the grace begins anew with the next one."""
    rig = make_rig(missing_grace_seconds=60)
    video = rig.submitted()
    rig.upstream.script("retrieve", ProviderMissing())
    rig.look(video)
    rig.pass_time(50)
    rig.look(video)
    back = rig.video(video)
    rig.pass_time(50)
    rig.upstream.script("retrieve", ProviderMissing())
    rig.look(video)

    assert back.missing_since is None
    assert "in_progress" == rig.video(video).status


def test_missing_grace_is_the_profiles_when_not_set(make_rig: MakeRig) -> None:
    """Servers behind balancers need longer."""
    rig = make_rig(catalog=make_catalog(missing_grace_seconds=300.0))
    video = rig.submitted()
    del rig.upstream.videos["up_1"]
    rig.look(video)
    rig.pass_time(200)
    rig.look(video)

    assert "in_progress" == rig.video(video).status


# Bad looks.


@pytest.mark.parametrize(
    "error",
    [ProviderTransient(http_status=500), ProviderBusy(http_status=429), ProviderMisconfigured()],
)
def test_bad_look_never_fails_a_video(rig: Rig, error: Exception) -> None:
    """Twenty in a row, and it still runs; they come ever more rarely, at most each 36 s."""
    video = rig.submitted()
    rig.upstream.script("retrieve", *[error] * 20)
    waits = []
    for _ in range(20):
        rig.pass_time(400)
        rig.look(video)
        waits.append(round(rig.due_in(video)))

    after = rig.video(video)
    assert ("in_progress", 20, None) == (after.status, after.failures, after.lease_token)
    assert waits[0] < 3
    assert max(waits) <= 36
    rig.pass_time(400)
    rig.look(video)
    assert 0 == rig.video(video).failures


def test_429_slows_down_the_whole_account(rig: Rig) -> None:
    """Others at the same account are not asked for either, for as long as it says."""
    one, other = running(rig, 2)
    rig.upstream.script("retrieve", ProviderBusy(http_status=429, retry_after=50))
    rig.look(one)

    rig.look(other)
    asked = rig.upstream.count("retrieve")
    delay = rig.due_in(other)
    rig.pass_time(51)
    rig.look(other)

    assert (1, 2) == (asked, rig.upstream.count("retrieve"))
    assert 45 < delay <= 50


def test_429_of_the_list_slows_down_the_account_too(rig: Rig) -> None:
    """Nobody is asked for singly after that."""
    videos = running(rig, 5)
    rig.upstream.script("walk", ProviderBusy(http_status=429, retry_after=50))

    rig.look(*videos)

    state = rig.state()
    assert 0 == rig.upstream.count("retrieve")
    assert state is not None
    assert state.polls_paused_until is not None


@pytest.mark.parametrize("look", [Rig.reconcile, Rig.watch])
def test_429_to_one_kind_of_look_holds_back_the_others(
    rig: Rig, look: Callable[[Rig], None]
) -> None:
    """Looks for unknown and detached attempts are slowed down by it, and slow down the polls."""
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted("unknown")
    endings.cancel(rig.ctx, ANN, rig.submitted("detached").id)
    video = rig.submitted("running")
    for operation in ("walk", "retrieve"):
        rig.upstream.script(operation, ProviderBusy(http_status=429, retry_after=500))
    rig.pass_time(60)
    look(rig)
    asked = len(rig.upstream.calls)

    rig.reconcile()
    rig.watch()
    rig.look(video)

    assert asked == len(rig.upstream.calls)
    assert rig.due_in(video) > 200


def test_running_videos_are_seen_while_nothing_is_submitted(rig: Rig) -> None:
    """An operator's pause stops creates, not looks."""
    video = rig.submitted()
    pauses.pause(rig.ctx, "default", reason="Invoice.")
    rig.upstream.becomes("up_1", "completed")

    rig.look(video)

    assert "store" == rig.video(video).step


def test_broken_list_leaves_single_looks(rig: Rig) -> None:
    """A list that fails for days must not keep five videos from being seen."""
    videos = running(rig, 5)
    rig.upstream.script("walk", ProviderTransient(http_status=500))

    rig.look(*videos)

    assert [0] * 5 == [rig.video(video).failures for video in videos]
    assert 5 == rig.upstream.count("retrieve")


def test_provider_that_is_away_is_asked_twice_at_most(rig: Rig) -> None:
    """Two bad answers end the look: a hundred timeouts would help nobody."""
    videos = running(rig, 5)
    rig.upstream.script("walk", ProviderTransient())
    rig.upstream.script("retrieve", *[ProviderTransient()] * 5)

    rig.look(*videos)

    assert (1, 1) == (rig.upstream.count("walk"), rig.upstream.count("retrieve"))
    assert [1] * 5 == [rig.video(video).failures for video in videos]


def test_unreadable_video_keeps_no_other_from_being_seen(make_rig: MakeRig) -> None:
    """One whose answer never says anything is asked for last."""
    rig = make_rig(catalog=make_catalog(list="none"))
    bad, *good = running(rig, 4)

    def retrieve(name: str) -> ProviderVideo:
        if name == "up_1":
            raise ProviderTransient
        return rig.upstream.videos[name]

    rig.upstream.script("retrieve", *[retrieve] * 8)
    for video in good:
        rig.upstream.becomes(rig.upstream_id(video), "in_progress", progress=50)

    rig.look(bad, *good)
    rig.look(bad, *good)

    assert [50, 50, 50] == [rig.video(video).progress for video in good]
    assert (2, 0) == (rig.video(bad).failures, rig.video(bad).progress)
    assert ("retrieve", "up_1") == rig.upstream.calls[-1]


# Clocks.


def test_deadline_fails_a_video_only_after_a_younger_look(make_rig: MakeRig) -> None:
    """We were down when it passed: first a look, and then it is decided by what that shows."""
    rig = make_rig(video_deadline_seconds=600)
    slow, done = running(rig, 2)
    rig.pass_time(5000)
    rig.upstream.becomes(rig.upstream_id(done), "completed")

    rig.look(slow, done)

    failed = rig.video(slow)
    (attempt,) = rig.attempts(slow)
    assert ("failed", "timeout", "released") == (
        failed.status,
        failed.error_code,
        failed.quota_state,
    )
    assert (True, None) == (attempt.detached, attempt.ended_at)
    assert "store" == rig.video(done).step


@pytest.mark.parametrize("error", [ProviderTransient(), ProviderMissing()])
def test_deadline_alone_fails_nothing_while_looks_fail(make_rig: MakeRig, error: Exception) -> None:
    """A provider that is away has not said that it is not done."""
    rig = make_rig(video_deadline_seconds=600)
    video = rig.submitted()
    rig.pass_time(5000)
    rig.upstream.script("retrieve", error)

    rig.look(video)

    assert "in_progress" == rig.video(video).status


def test_poll_snoozes_when_provider_is_configured_no_longer(rig: Rig) -> None:
    """It waits for its configuration to come back, and is not lost."""
    video = rig.submitted()
    rig.sql("update videos set account = 'another'")

    rig.look(video)

    after = rig.video(video)
    assert ("in_progress", None) == (after.status, after.lease_token)
    assert rig.due_in(video) > 50
