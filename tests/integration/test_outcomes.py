"""What an operator decides about videos whose outcome no list can tell."""

from __future__ import annotations

import pytest

from orchestrator import acceptances, audit, dispatch, endings, holds
from orchestrator.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    ProviderAmbiguous,
    ProviderTransient,
)
from orchestrator.lifecycle import AttemptState
from orchestrator.records import Caller, Video
from orchestrator.steps import submit
from tests.core import race
from tests.rig import ANN, MakeRig, Rig, make_catalog


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """A provider without a list: what is unknown there is held."""
    return make_rig(catalog=make_catalog(list="none", on_unknown="hold"))


def held(rig: Rig, prompt: str = "a red kite") -> Video:
    """A video that waits for an operator."""
    rig.upstream.script("create", ProviderAmbiguous("Timeout."))
    return rig.submitted(prompt)


def test_held_videos_are_listed_oldest_first(rig: Rig) -> None:
    """With the attempt that they wait for; others are not."""
    first, second = held(rig, "one"), held(rig, "two")
    rig.submitted("three")

    found = holds.held(rig.ctx)

    assert [first.id, second.id] == [one.video.id for one in found]
    assert [AttemptState.UNKNOWN] * 2 == [one.attempt.state for one in found]


def test_adopt_lets_the_video_run_by_the_id_that_was_found(rig: Rig) -> None:
    """An operator saw it in the provider's console: nothing is sent again."""
    video = held(rig)
    rig.upstream.has(id="up_found", canonical_id="up_found")

    resolved = holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_found")
    asked = rig.upstream.count("retrieve")
    rig.reconcile()

    after = rig.video(video)
    assert ("queued", "adopting", 0) == (resolved.status, resolved.hold_reason, asked)
    assert ("in_progress", None, "up_found") == (
        after.status,
        after.hold_reason,
        rig.upstream_id(video),
    )
    assert [("retrieve", "up_found")] == rig.upstream.calls[-1:]
    assert 1 == rig.upstream.count("create")
    assert ("reconcile", rig.provider.name) == rig.rings[-1]


def test_adoption_is_held_again_when_the_provider_does_not_know_the_id(rig: Rig) -> None:
    """A slip of the pen costs nobody a video: the operator is asked again, with the reason."""
    video = held(rig)

    holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_wrong")
    rig.reconcile()

    (found,) = holds.held(rig.ctx)
    assert ("queued", "adopt_failed") == (found.video.status, found.video.hold_reason)
    assert (None, None, "The provider does not know the id that was to be adopted.") == (
        found.attempt.adopt_id,
        found.attempt.due_at,
        found.attempt.error,
    )
    assert ["held", "held", "held"] == rig.events(video)[-3:]


def test_adoption_is_tried_again_when_the_provider_does_not_answer(rig: Rig) -> None:
    """Only what it says of the id counts."""
    video = held(rig)
    rig.upstream.has(id="up_found", canonical_id="up_found")
    rig.upstream.script("retrieve", ProviderTransient("500"))
    holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_found")

    rig.reconcile()
    between = rig.video(video)
    rig.clean_look()

    assert ("queued", "adopting") == (between.status, between.hold_reason)
    assert "in_progress" == rig.video(video).status


def test_adoption_is_held_again_when_the_id_was_given_away_meanwhile(rig: Rig) -> None:
    """Two operators name the same id for two videos: one gets it, the other is asked again."""
    first, second = held(rig, "one"), held(rig, "two")
    rig.upstream.has(id="up_found", canonical_id="up_found")
    for video in (first, second):
        holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_found")

    rig.reconcile()

    statuses = {(rig.video(v).status, rig.video(v).hold_reason) for v in (first, second)}
    assert {("in_progress", None), ("queued", "adopt_failed")} == statuses


@pytest.mark.parametrize("decision", ["retry", "fail"])
def test_decision_may_change_while_an_id_is_tried(rig: Rig, decision: str) -> None:
    """The provider need not answer before an operator thinks again; what comes late is detached."""
    video = held(rig)
    rig.upstream.has(id="up_found", canonical_id="up_found")
    holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_found")

    resolved = holds.resolve(rig.ctx, video.id, decision)
    rig.reconcile()

    after = rig.video(video)
    assert resolved.status == after.status
    assert after.hold_reason is None


def test_cancelled_adoption_is_watched(rig: Rig) -> None:
    """Its owner did not want to wait; what it costs is booked all the same."""
    video = held(rig)
    rig.upstream.has(id="up_found", canonical_id="up_found")
    holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="up_found")
    endings.cancel(rig.ctx, ANN, video.id)

    rig.reconcile()

    (attempt,) = rig.attempts(video)
    assert ("cancelled", "accepted", True) == (
        rig.video(video).status,
        attempt.state,
        attempt.detached,
    )


def test_id_of_the_server_behind_litellm_is_refused_at_the_door(make_rig: MakeRig) -> None:
    """The proxy would ask the wrong server for it: the message says which id is wanted."""
    rig = make_rig(catalog=make_catalog(list="none", ids="litellm"))
    video = held(rig)

    with pytest.raises(InvalidRequest, match="LiteLLM proxy's own id") as refused:
        holds.resolve(rig.ctx, video.id, "adopt", provider_video_id="video_68d7512d07848190")

    assert "provider_video_id" == refused.value.param
    assert "outcome_unknown" == rig.video(video).hold_reason


def test_retry_after_more_than_a_day_is_not_too_late(rig: Rig) -> None:
    """The time to start a video that was held counts from the operator's decision."""
    video = held(rig)
    rig.pass_time(3 * 86_400)

    holds.resolve(rig.ctx, video.id, "retry")
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert "in_progress" == rig.video(video).status


def test_adopt_is_refused_when_the_id_belongs_to_another(rig: Rig) -> None:
    """One video of the provider serves one of ours; the held one stays held."""
    taken = rig.submitted("another")
    video = held(rig)

    with pytest.raises(Conflict) as refused:
        holds.resolve(rig.ctx, video.id, "adopt", provider_video_id=rig.upstream_id(taken))

    assert "id_taken" == refused.value.code
    assert ("queued", "outcome_unknown") == (
        rig.video(video).status,
        rig.video(video).hold_reason,
    )


def test_retry_submits_again(rig: Rig) -> None:
    """The operator knows that it never arrived: the next attempt."""
    video = held(rig)

    released = holds.resolve(rig.ctx, video.id, "retry")
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert ("queued", None) == (released.status, released.hold_reason)
    assert ["abandoned", "accepted"] == rig.states(video)
    assert ["created", "held", "released", "status_changed"] == rig.events(video)


def test_decision_is_in_the_audit_trail(rig: Rig) -> None:
    """Who decided, and what."""
    video, adopted = held(rig), held(rig)

    holds.resolve(rig.ctx, video.id, "fail", by=Caller("root", "admin", request_id="r"))
    holds.resolve(rig.ctx, adopted.id, "adopt", provider_video_id="up_found")

    second, first = audit.page(rig.ctx, action="video.resolved")
    assert ("root", "r", video.id, "fail") == (
        first.user_id,
        first.request_id,
        first.subject,
        first.data["decision"],
    )
    assert (None, adopted.id, "adopt") == (
        second.user_id,
        second.subject,
        second.data["decision"],
    )


def test_retry_fails_the_video_when_its_attempts_are_spent(make_rig: MakeRig) -> None:
    """An operator's retry counts as well."""
    rig = make_rig(catalog=make_catalog(list="none", on_unknown="hold"), max_attempts=1)
    video = held(rig)

    resolved = holds.resolve(rig.ctx, video.id, "retry")

    assert ("failed", "outcome_unknown") == (resolved.status, resolved.error_code)


def test_fail_ends_the_video_and_gives_the_quota_back(rig: Rig) -> None:
    """The user learns it; the attempt holds its slot for a day."""
    video = held(rig)

    resolved = holds.resolve(rig.ctx, video.id, "fail")

    (attempt,) = rig.attempts(video)
    assert ("failed", "outcome_unknown", "released") == (
        resolved.status,
        resolved.error_code,
        resolved.quota_state,
    )
    assert (True, None) == (attempt.detached, attempt.ended_at)


@pytest.mark.parametrize("decision", ["retry", "fail"])
def test_decision_is_refused_when_video_is_not_held(rig: Rig, decision: str) -> None:
    """Somebody has decided already, or there was nothing to decide."""
    video = rig.submitted()

    with pytest.raises(Conflict) as refused:
        holds.resolve(rig.ctx, video.id, decision)

    assert "not_held" == refused.value.code


def test_decision_must_be_one_that_there_is(rig: Rig) -> None:
    """The message names the allowed ones; `adopt` needs an id."""
    video = held(rig)

    with pytest.raises(InvalidRequest, match="adopt, retry, fail") as strange:
        holds.resolve(rig.ctx, video.id, "maybe")
    with pytest.raises(InvalidRequest) as incomplete:
        holds.resolve(rig.ctx, video.id, "adopt")

    assert ("decision", "provider_video_id") == (strange.value.param, incomplete.value.param)


@pytest.mark.parametrize("video_id", ["nonsense", "video_" + "0" * 32])
def test_decision_about_nothing_is_not_found(rig: Rig, video_id: str) -> None:
    """Strange ids and unknown ones are the same."""
    with pytest.raises(NotFound):
        holds.resolve(rig.ctx, video_id, "retry")


def test_two_operators_decide_once(rig: Rig) -> None:
    """At the same moment: one retry, one attempt more."""
    video = held(rig)

    answers = race(*[lambda: holds.resolve(rig.ctx, video.id, "retry")] * 4)

    assert 3 == sum(isinstance(answer, Conflict) for answer in answers)
    assert ["abandoned"] == rig.states(video)
    assert 1 == rig.events(video).count("released")


def test_held_video_can_be_cancelled(rig: Rig) -> None:
    """Its owner need not wait for the operator."""
    video = held(rig)

    cancelled = endings.cancel(rig.ctx, ANN, video.id)

    assert ("cancelled", None, "released") == (
        cancelled.status,
        cancelled.hold_reason,
        cancelled.quota_state,
    )
    assert [] == holds.held(rig.ctx)


def test_acceptance_is_recorded_once_when_it_is_told_twice(rig: Rig) -> None:
    """A late answer and a look at the list bring the same id at the same moment."""
    video = held(rig)
    found = rig.upstream.has(prompt=video.prompt)

    moved = race(
        *[lambda: acceptances.accepted(rig.ctx, rig.provider, video.id, 1, found, token=None)] * 6
    )

    assert 1 == sum(isinstance(answer, Video) for answer in moved)
    assert 1 == rig.events(video).count("status_changed")
    assert ["accepted"] == rig.states(video)
