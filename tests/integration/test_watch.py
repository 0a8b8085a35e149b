"""Watching: an attempt whose video has moved on is followed to its end, for what it costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestrator import dispatch, endings
from orchestrator.errors import ProviderMissing, ProviderTransient
from orchestrator.records import Video
from orchestrator.steps import submit, watch
from tests.core import race
from tests.rig import ANN, MakeRig, Rig, make_catalog

NOTHING = Decimal(0)
FOUR = Decimal("0.4")
DAY = 86_400


def cancelled(rig: Rig, prompt: str = "a red kite") -> Video:
    """A video that was cancelled while the provider works on it."""
    video = rig.submitted(prompt)
    return endings.cancel(rig.ctx, ANN, video.id)


def patient(make_rig: MakeRig) -> Rig:
    """A rig whose provider cannot cancel: DELETE only forgets."""
    return make_rig(catalog=make_catalog(delete_cancels=False))


def test_cancel_after_acceptance_waits_with_the_quota(rig: Rig) -> None:
    """The provider may still finish it: the count stays until the attempt has ended."""
    video = cancelled(rig)

    (attempt,) = rig.attempts(video)
    assert ("cancelled", "reserved", 1) == (
        video.status,
        video.quota_state,
        rig.quota().videos_created,
    )
    assert (True, None) == (attempt.detached, attempt.ended_at)


def test_quota_is_kept_when_provider_finishes_what_was_cancelled(make_rig: MakeRig) -> None:
    """It made the video and charges for it."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.upstream.becomes("up_1", "completed")

    rig.watch()

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("cancelled", "kept", FOUR) == (after.status, after.quota_state, after.cost_actual)
    assert (1, FOUR) == (rig.quota().videos_created, rig.quota().cost_used)
    assert (FOUR, "completed") == (attempt.cost, attempt.upstream_status)
    assert attempt.ended_at is not None
    assert "charged" == rig.events(video)[-1]


def test_quota_is_released_when_provider_fails_what_was_cancelled(make_rig: MakeRig) -> None:
    """Nothing was made: nothing counts."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.upstream.becomes("up_1", "failed")

    rig.watch()

    after = rig.video(video)
    assert ("released", NOTHING) == (after.quota_state, after.cost_actual)
    assert (0, NOTHING) == (rig.quota().videos_created, rig.quota().cost_used)


def test_watch_waits_while_provider_works_on(make_rig: MakeRig) -> None:
    """Where nothing cancels it, it is looked at until it ends, and never deleted."""
    rig = patient(make_rig)
    video = cancelled(rig)

    rig.watch()
    rig.watch()

    (attempt,) = rig.attempts(video)
    assert (None, "reserved") == (attempt.ended_at, rig.video(video).quota_state)
    assert attempt.due_at is not None
    assert (2, 0) == (rig.upstream.count("retrieve"), rig.upstream.count("delete"))


def test_watch_cancels_upstream_when_delete_does_that(rig: Rig) -> None:
    """Deleted there, and gone at the next look: released, nothing charged."""
    video = cancelled(rig)

    rig.watch()
    rig.watch()

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("released", NOTHING, "cancelled") == (
        after.quota_state,
        attempt.cost,
        attempt.upstream_status,
    )
    assert 0 == rig.quota().videos_created
    assert 1 == rig.upstream.count("delete")


def test_watch_does_not_delete_what_has_finished(rig: Rig) -> None:
    """One that finished before we could cancel it is known to have, and is paid."""
    video = cancelled(rig)
    rig.upstream.becomes("up_1", "completed")

    rig.watch()

    assert (0, "kept") == (rig.upstream.count("delete"), rig.video(video).quota_state)


def test_watch_books_what_finished_while_it_was_being_cancelled(rig: Rig) -> None:
    """The DELETE was answered, but the next look shows it finished."""
    video = cancelled(rig)
    rig.upstream.script("delete", lambda _: None)
    rig.watch()
    rig.upstream.becomes("up_1", "completed")

    rig.watch()

    assert ("kept", FOUR) == (rig.video(video).quota_state, rig.video(video).cost_actual)


def test_watch_asks_again_when_cancelling_fails(rig: Rig) -> None:
    """A DELETE that was not carried out is repeated."""
    video = cancelled(rig)
    rig.upstream.script("delete", ProviderTransient(http_status=500))

    rig.watch()
    rig.watch()
    rig.watch()

    assert (2, "released") == (rig.upstream.count("delete"), rig.video(video).quota_state)


def test_watch_waits_out_a_404(make_rig: MakeRig) -> None:
    """Behind a balancer it may come back within the grace; after that it is gone, and released."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.upstream.script("retrieve", *[ProviderMissing()] * 2)
    rig.watch()
    early = rig.video(video).quota_state
    rig.pass_time(61)

    rig.watch()

    assert ("reserved", "released") == (early, rig.video(video).quota_state)
    assert "missing" == rig.attempts(video)[0].upstream_status


def test_watch_begins_the_grace_anew_when_it_was_seen_between(make_rig: MakeRig) -> None:
    """Two 404s with a look between are no long absence."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.upstream.script("retrieve", ProviderMissing())
    rig.watch()
    rig.pass_time(61)
    rig.watch()
    rig.upstream.script("retrieve", ProviderMissing())

    rig.watch()

    assert rig.attempts(video)[0].ended_at is None


def test_watch_ends_after_a_day_of_work(make_rig: MakeRig) -> None:
    """A job that never ends upstream must not hold a slot for ever."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.pass_time(DAY + 1)

    rig.watch()

    (attempt,) = rig.attempts(video)
    assert ("unresolved", "released") == (attempt.upstream_status, rig.video(video).quota_state)


def test_watch_ends_after_two_days_of_errors(make_rig: MakeRig) -> None:
    """A provider that never says anything of it must not hold a slot for ever."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.upstream.script("retrieve", ProviderTransient("It does not answer."))
    rig.watch()
    (early,) = rig.attempts(video)
    rig.pass_time(2 * DAY + 60)
    rig.upstream.script("retrieve", ProviderTransient("It does not answer."))

    rig.watch()

    (attempt,) = rig.attempts(video)
    assert early.ended_at is None
    assert "unresolved" == attempt.upstream_status
    assert "released" == rig.video(video).quota_state


def test_delete_in_progress_watches_on(make_rig: MakeRig) -> None:
    """Cancelled and deleted in one moment, both told; what it cost is booked afterwards."""
    rig = patient(make_rig)
    video = rig.submitted()

    deleted = endings.delete(rig.ctx, ANN, video.id)
    rig.upstream.becomes("up_1", "completed")
    rig.watch()

    after = rig.video(video)
    assert ["cancelled", "status_changed", "deleted", "charged"] == rig.events(video)[-4:]
    assert ("deleted", "kept", FOUR) == (deleted.status, after.quota_state, after.cost_actual)


def test_timed_out_video_is_watched_for_its_cost(make_rig: MakeRig) -> None:
    """Failed and released by its deadline; the provider finishes and charges anyway."""
    rig = make_rig(catalog=make_catalog(delete_cancels=False), video_deadline_seconds=600)
    video = rig.submitted()
    rig.pass_time(601)
    rig.look(video)
    rig.upstream.becomes("up_1", "completed")

    rig.watch()

    after = rig.video(video)
    assert ("failed", "released", FOUR) == (after.status, after.quota_state, after.cost_actual)
    assert (0, FOUR) == (rig.quota().videos_created, rig.quota().cost_used)


def test_charge_is_booked_once_when_watches_race(make_rig: MakeRig) -> None:
    """Six messages for one account at once."""
    rig = patient(make_rig)
    videos = [cancelled(rig, f"kite {n}") for n in range(3)]
    for name in list(rig.upstream.videos):
        rig.upstream.becomes(name, "completed")
    rig.sql("update attempts set due_at = now()")

    race(*[lambda: watch.watch(rig.ctx, rig.provider.name, rig.provider.account)] * 6)

    assert 3 * FOUR == rig.quota().cost_used
    assert [1, 1, 1] == [rig.events(video).count("charged") for video in videos]


def test_charge_is_not_booked_to_another_month(make_rig: MakeRig) -> None:
    """Reserved in one period, settled in the next: that one is left alone."""
    rig = patient(make_rig)
    video = cancelled(rig)
    rig.sql("update user_quotas set reset_at = now() where user_id = 'ann'")
    rig.want()
    rig.upstream.becomes("up_1", "failed")

    rig.watch()

    assert (1, "released") == (rig.quota().videos_created, rig.video(video).quota_state)


@pytest.mark.parametrize("error", [ProviderTransient(), ProviderMissing()])
def test_watch_of_one_goes_on_when_another_cannot_be_read(
    make_rig: MakeRig, error: Exception
) -> None:
    """Each attempt is looked at for itself."""
    rig = patient(make_rig)
    first, second = cancelled(rig, "one"), cancelled(rig, "two")
    rig.upstream.becomes("up_2", "completed")
    rig.upstream.script("retrieve", error)

    rig.watch()

    assert ("reserved", "kept") == (rig.video(first).quota_state, rig.video(second).quota_state)


def test_detached_attempt_frees_its_slot_when_it_ends(make_rig: MakeRig) -> None:
    """Until then nobody else gets it: the provider is still at work."""
    rig = make_rig(catalog=make_catalog(max_in_flight=1, delete_cancels=False))
    first = rig.want()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, first.id)
    endings.cancel(rig.ctx, ANN, first.id)
    rig.want("next")
    during = dispatch.sweep(rig.ctx).admitted
    rig.upstream.becomes("up_1", "completed")
    rig.watch()

    after = dispatch.sweep(rig.ctx).admitted

    assert (0, 1) == (during, after)
