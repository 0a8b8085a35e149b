"""Submits that are cut off: by a crash, or by a pause that is longer than their lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator import dispatch, endings
from orchestrator.catalog import Provider
from orchestrator.context import ProviderPool
from orchestrator.errors import ProviderRejected
from orchestrator.leases import Leases
from orchestrator.providers import CreateRequest, ProviderVideo, VideoProvider
from orchestrator.steps import submit
from tests.rig import ANN, GRACE, MakeRig, Rig
from tests.scripted_provider import accepts_then_breaks


class PowerCut(BaseException):
    """The process is gone in the middle of a call."""


def crash_after_accepting(rig: Rig) -> Callable[[CreateRequest], ProviderVideo]:
    """An answer that nobody lives to read."""

    def answer(request: CreateRequest) -> ProviderVideo:
        rig.upstream.accept(request)
        raise PowerCut

    return answer


def test_crash_in_the_call_leaves_attempt_sent_until_lease_expires(rig: Rig) -> None:
    """A dead worker's attempt stays sent, and nobody submits again while its lease lives."""
    rig.upstream.script("create", crash_after_accepting(rig))
    video = rig.want()

    with pytest.raises(PowerCut):
        submit.submit(rig.ctx, video.id)
    swept = dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert 0 == swept.rescued
    assert ["sent"] == rig.states(video)
    assert 1 == rig.upstream.count("create")


def test_crash_in_the_call_ends_adopted_when_the_list_shows_the_video(rig: Rig) -> None:
    """After its lease it is unknown, a look finds it, and the video runs: paid once."""
    rig.upstream.script("create", crash_after_accepting(rig))
    video = rig.want()
    with pytest.raises(PowerCut):
        submit.submit(rig.ctx, video.id)
    rig.expire_leases()

    swept = dispatch.sweep(rig.ctx)
    unknown = rig.states(video)
    rig.clean_look()

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    state = rig.state()
    assert (1, ["unknown"]) == (swept.rescued, unknown)
    assert ("in_progress", "poll") == (after.status, after.step)
    assert ("accepted", False) == (attempt.state, attempt.detached)
    assert state is not None
    assert 0 == state.duplicates
    assert 1 == rig.upstream.count("create")


def test_crash_in_the_call_is_submitted_again_when_the_list_never_shows_it(rig: Rig) -> None:
    """Two clean looks find nothing: the next attempt may start, and it does."""

    def answer(request: CreateRequest) -> ProviderVideo:
        raise PowerCut

    rig.upstream.script("create", answer)
    video = rig.want()
    with pytest.raises(PowerCut):
        submit.submit(rig.ctx, video.id)
    rig.expire_leases()
    dispatch.sweep(rig.ctx)

    rig.clean_look()
    rig.clean_look()
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert ["abandoned", "accepted"] == rig.states(video)
    assert "in_progress" == rig.video(video).status


def test_crash_between_claim_and_attempt_is_taken_over_when_lease_expires(rig: Rig) -> None:
    """A claim without an attempt (nothing was sent) is free again after its lease."""
    video = rig.want()
    rig.sql("update videos set lease_token = 'dead', lease_until = now() + interval '1 minute'")
    submit.submit(rig.ctx, video.id)
    before = rig.upstream.count("create")
    rig.expire_leases()

    submit.submit(rig.ctx, video.id)

    assert (0, 1) == (before, rig.upstream.count("create"))


# A call that succeeds after its lease has expired (SIGSTOP, a pause of the machine).


def late(rig: Rig, meanwhile: Callable[[], object]) -> Callable[[CreateRequest], ProviderVideo]:
    """An answer that comes when the lease has run out and the sweep has noticed."""

    def answer(request: CreateRequest) -> ProviderVideo:
        found = rig.upstream.accept(request)
        rig.expire_leases()
        dispatch.sweep(rig.ctx)
        meanwhile()
        return found

    return answer


def test_nothing_is_sent_when_the_lease_ran_out_before_the_call(rig: Rig) -> None:
    """A process that stood still between its attempt and its call finds the attempt given up and
    the video on its way with another: it must not send it as well.
    """
    now = [0.0]
    leases = Leases(rig.ctx.database, rig.ctx.settings.lease_seconds, clock=lambda: now[0])
    video = rig.want()

    def stand_still(provider: Provider) -> VideoProvider:
        now[0] += rig.ctx.settings.lease_seconds
        rig.expire_leases()
        dispatch.sweep(rig.ctx)
        rig.clean_look()
        rig.clean_look()
        rig.admit(video)
        submit.submit(rig.ctx, video.id)
        return rig.upstream.open(provider)

    submit.submit(replace(rig.ctx, leases=leases, pool=ProviderPool(stand_still)), video.id)

    leases.close()
    assert ["abandoned", "accepted"] == rig.states(video)
    assert 1 == len(rig.upstream.requests)


def test_late_success_is_adopted_when_video_still_waits(rig: Rig) -> None:
    """The attempt was unknown by then; its answer settles it, and the video runs."""
    rig.upstream.script("create", late(rig, lambda: None))

    video = rig.submitted()

    (attempt,) = rig.attempts(video)
    assert ("in_progress", "accepted", False) == (video.status, attempt.state, attempt.detached)


def test_late_success_is_detached_when_video_was_cancelled(rig: Rig) -> None:
    """Its id is kept on the attempt, which is watched; the video stays cancelled and released."""
    video = rig.want()
    rig.upstream.script("create", late(rig, lambda: endings.cancel(rig.ctx, ANN, video.id)))

    submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("cancelled", "released") == (after.status, after.quota_state)
    assert ("accepted", "up_1", True) == (
        attempt.state,
        attempt.provider_video_id,
        attempt.detached,
    )
    assert attempt.due_at is not None


def test_late_success_is_detached_and_counted_when_next_attempt_was_sent(rig: Rig) -> None:
    """Given up, submitted again, and then the first answer: paid twice, so it is counted."""
    video = rig.want()

    def meanwhile() -> None:
        rig.upstream.hidden.add("up_1")
        rig.clean_look()
        rig.clean_look()
        dispatch.sweep(rig.ctx)
        submit.submit(rig.ctx, video.id)

    rig.upstream.script("create", late(rig, meanwhile))

    submit.submit(rig.ctx, video.id)

    first, second = rig.attempts(video)
    state = rig.state()
    assert ("accepted", "up_1", True) == (first.state, first.provider_video_id, first.detached)
    assert ("accepted", "up_2", False) == (second.state, second.provider_video_id, second.detached)
    assert state is not None
    assert 1 == state.duplicates
    assert "in_progress" == rig.video(video).status


def test_late_success_is_detached_when_abandoned_video_has_failed(make_rig: MakeRig) -> None:
    """MAX_ATTEMPTS spent: the video failed; what turns up later is watched for its cost."""
    rig = make_rig(max_attempts=1)
    video = rig.want()

    def meanwhile() -> None:
        rig.upstream.hidden.add("up_1")
        rig.clean_look()
        rig.clean_look()

    rig.upstream.script("create", late(rig, meanwhile))

    submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    (attempt,) = rig.attempts(video)
    assert ("failed", "outcome_unknown", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )
    assert ("accepted", True) == (attempt.state, attempt.detached)


def test_late_success_makes_attempt_unknown_when_its_id_is_taken(rig: Rig) -> None:
    """A look gave this very id to an equal attempt: ours is open again, and gets the other."""
    other = rig.want("a red kite")
    video = rig.want("a red kite")
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    submit.submit(rig.ctx, other.id)

    def answer(request: CreateRequest) -> ProviderVideo:
        mine = rig.upstream.accept(request)
        rig.upstream.hidden.add("up_1")
        rig.pass_time(GRACE + 1)
        rig.reconcile()
        rig.upstream.hidden.clear()
        return mine

    rig.upstream.script("create", answer)
    submit.submit(rig.ctx, video.id)
    between = rig.states(video)
    rig.clean_look()

    assert "up_2" == rig.upstream_id(other)
    assert ["unknown"] == between
    assert "up_1" == rig.upstream_id(video)
    assert 2 == rig.upstream.count("create")


def test_late_refusal_is_ignored_when_video_was_cancelled(rig: Rig) -> None:
    """The attempt learns that it was refused; the cancelled video stays as it is."""
    video = rig.want()

    def answer(request: CreateRequest) -> ProviderVideo:
        endings.cancel(rig.ctx, ANN, video.id)
        raise ProviderRejected("No.", http_status=400)

    rig.upstream.script("create", answer)

    submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    assert ("cancelled", None, ["rejected"]) == (after.status, after.error_code, rig.states(video))


def test_late_refusal_is_ignored_when_next_attempt_was_sent(rig: Rig) -> None:
    """A video that has moved on does not fail by what an old attempt was told."""
    video = rig.want()

    def answer(request: CreateRequest) -> ProviderVideo:
        rig.expire_leases()
        dispatch.sweep(rig.ctx)
        rig.clean_look()
        rig.clean_look()
        dispatch.sweep(rig.ctx)
        submit.submit(rig.ctx, video.id)
        raise ProviderRejected("No.", http_status=400)

    rig.upstream.script("create", answer)

    submit.submit(rig.ctx, video.id)

    assert ["rejected", "accepted"] == rig.states(video)
    assert "in_progress" == rig.video(video).status
