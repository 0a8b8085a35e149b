"""What was sent to an account that is configured no longer: held, then ended, never forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator import dispatch, endings, holds, submissions
from orchestrator.catalog import Catalog, Model
from orchestrator.context import Context
from orchestrator.errors import Conflict, ProviderAmbiguous
from orchestrator.records import Video
from orchestrator.steps import submit
from tests.rig import ANN, MakeRig, Rig
from tests.scripted_provider import accepts_then_breaks

DAY = 86_400


def elsewhere(rig: Rig) -> Context:
    """The same installation after somebody has changed the account."""
    other = replace(rig.provider, account="another")
    catalog = Catalog(
        providers={other.name: other}, models={"sora-2": Model("sora-2", (other.name,))}
    )
    return replace(rig.ctx, settings=replace(rig.ctx.settings, catalog=catalog))


def nobody_left(rig: Rig) -> Context:
    """The same installation without any provider of that model."""
    other = replace(rig.provider, account="another")
    catalog = Catalog(
        providers={other.name: other}, models={"other": Model("other", (other.name,))}
    )
    return replace(rig.ctx, settings=replace(rig.ctx.settings, catalog=catalog))


def unknown(rig: Rig, **fields: Any) -> Video:
    """A video of whose create nobody knows what became."""
    rig.upstream.script("create", ProviderAmbiguous())
    return rig.submitted(**fields)


def held(rig: Rig, ctx: Context) -> Video:
    """A video that is held because its account is gone."""
    video = unknown(rig)
    dispatch.sweep(ctx)
    return rig.video(video)


def test_attempt_of_a_dead_worker_is_held_when_its_account_is_gone(rig: Rig) -> None:
    """Nobody can ask there what became of it."""
    video = rig.want()
    rig.sql(
        "insert into attempts (video_id, n, provider, account, lease_token, lease_until) "
        "select id, 1, provider, account, 'dead', now() - interval '1 second' from videos"
    )
    rig.sql("update videos set lease_token = 'dead', lease_until = now() - interval '1 second'")

    dispatch.sweep(elsewhere(rig))

    after = rig.video(video)
    assert ("queued", "account_gone", None) == (after.status, after.hold_reason, after.lease_token)
    assert (["unknown"], "held") == (rig.states(video), rig.events(video)[-1])


def test_unknown_attempt_is_held_when_its_account_is_gone(rig: Rig) -> None:
    """Once, however many sweeps there are."""
    video = unknown(rig)
    ctx = elsewhere(rig)

    for _ in range(3):
        dispatch.sweep(ctx)

    assert "account_gone" == rig.video(video).hold_reason
    assert 1 == rig.events(video).count("held")
    assert [] == [task for task, _ in rig.rings if task == "reconcile"]


def test_held_video_does_not_time_out_when_its_account_is_gone(make_rig: MakeRig) -> None:
    """An operator has been asked."""
    rig = make_rig(start_timeout_seconds=60)
    ctx = elsewhere(rig)
    video = held(rig, ctx)

    rig.pass_time(DAY)
    dispatch.sweep(ctx)

    assert "queued" == rig.video(video).status


def test_retry_goes_to_the_provider_that_is_configured(rig: Rig) -> None:
    """The next attempt is for whoever makes this model now."""
    ctx = elsewhere(rig)
    video = held(rig, ctx)

    released = holds.resolve(ctx, video.id, "retry")
    dispatch.sweep(ctx)
    submit.submit(ctx, video.id)

    assert ("queued", None, "another") == (
        released.status,
        released.hold_reason,
        released.account,
    )
    assert [("abandoned", "sandbox"), ("accepted", "another")] == [
        (attempt.state, attempt.account) for attempt in rig.attempts(video)
    ]


@pytest.mark.parametrize(("decision", "says"), [("adopt", "retry or fail"), ("retry", "fail it")])
def test_decision_is_refused_when_it_needs_a_provider(rig: Rig, decision: str, says: str) -> None:
    """The message says what is left to do; the video stays held."""
    ctx = nobody_left(rig)
    video = held(rig, ctx)

    with pytest.raises(Conflict, match=says) as refused:
        holds.resolve(ctx, video.id, decision, provider_video_id="up_1")

    assert "provider_gone" == refused.value.code
    assert "account_gone" == rig.video(video).hold_reason


def test_remix_is_not_retried_elsewhere(rig: Rig) -> None:
    """Its source is at the account that is gone."""
    source = rig.generated()
    rig.store(source)
    rig.upstream.script("remix", ProviderAmbiguous())
    remix = submissions.remix(rig.ctx, ANN, source.id, "a blue kite").video
    submit.submit(rig.ctx, remix.id)
    ctx = elsewhere(rig)
    dispatch.sweep(ctx)

    with pytest.raises(Conflict) as refused:
        holds.resolve(ctx, remix.id, "retry")

    assert "provider_gone" == refused.value.code


def test_fail_ends_the_video_when_its_account_is_gone(rig: Rig) -> None:
    """And the attempt ends a day later, without a look."""
    ctx = elsewhere(rig)
    video = held(rig, ctx)

    failed = holds.resolve(ctx, video.id, "fail")
    dispatch.sweep(ctx)
    watched = rig.states(video)
    rig.pass_time(DAY + 60)
    dispatch.sweep(ctx)

    assert ("failed", "outcome_unknown", "released") == (
        failed.status,
        failed.error_code,
        failed.quota_state,
    )
    assert (["unknown"], ["abandoned"]) == (watched, rig.states(video))


def test_account_that_comes_back_settles_what_was_held(rig: Rig) -> None:
    """It was a slip in the configuration: the list is asked, and the hold is over."""
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    video = rig.submitted()
    dispatch.sweep(elsewhere(rig))
    before = rig.video(video).hold_reason

    rig.clean_look()

    after = rig.video(video)
    assert ("account_gone", "in_progress", None) == (before, after.status, after.hold_reason)


def test_watch_ends_a_day_after_its_account_has_gone(rig: Rig) -> None:
    """A cancelled video waits for what it cost; nobody will ever tell."""
    video = rig.submitted()
    endings.cancel(rig.ctx, ANN, video.id)
    ctx = elsewhere(rig)
    dispatch.sweep(ctx)
    before = rig.video(video).quota_state

    rig.pass_time(DAY + 60)
    dispatch.sweep(ctx)

    (attempt,) = rig.attempts(video)
    assert ("reserved", "released") == (before, rig.video(video).quota_state)
    assert ("unresolved", True) == (attempt.upstream_status, attempt.ended_at is not None)


def test_running_video_is_lost_a_day_behind_its_deadline(rig: Rig) -> None:
    """A deadline needs a look; where there can be none, a day more is enough."""
    video = rig.submitted()
    ctx = elsewhere(rig)
    rig.pass_time(DAY)
    dispatch.sweep(ctx)
    before = rig.video(video).status

    rig.pass_time(2 * 3600)
    dispatch.sweep(ctx)

    after = rig.video(video)
    assert ("in_progress", "failed", "lost", "released") == (
        before,
        after.status,
        after.error_code,
        after.quota_state,
    )
