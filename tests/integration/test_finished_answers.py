"""Creates that are answered with the finished video: nobody looks for what has been seen."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from orchestrator import endings
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.steps import store, submit
from tests.rig import ANN, Rig


def finished(rig: Rig, **fields: Any) -> Callable[[CreateRequest], ProviderVideo]:
    """The answer of a provider that is done as soon as it is asked."""

    def answer(request: CreateRequest) -> ProviderVideo:
        taken = rig.upstream.accept(request)
        rig.upstream.becomes(taken.id, "completed", **fields)
        return rig.upstream.videos[taken.id]

    return answer


def test_submit_goes_straight_to_the_store_when_the_answer_is_the_finished_video(
    rig: Rig,
) -> None:
    """Nobody looks for what has been seen: its charge is booked, its slot free, its store rung."""
    rig.upstream.script("create", finished(rig, seconds="8"))

    video = rig.submitted(seconds="4")
    rung = rig.rings[-1]
    store.store(rig.ctx, video.id)

    (attempt,) = rig.attempts(video)
    price = rig.ctx.catalog.price(rig.provider, "sora-2", video.size, "8")
    assert ("in_progress", "store", 99, price) == (
        video.status,
        video.step,
        video.progress,
        video.cost_actual,
    )
    assert ("accepted", "completed", price, True) == (
        attempt.state,
        attempt.upstream_status,
        attempt.cost,
        attempt.ended_at is not None,
    )
    assert attempt.content_expires_at is not None
    assert ("store", video.id) == rung
    assert "completed" == rig.video(video).status
    assert ["created", "status_changed", "progress"] == rig.events(video)[:3]
    assert 0 == rig.upstream.count("retrieve")


def test_submit_keeps_what_a_former_attempt_has_cost_when_the_answer_is_finished(rig: Rig) -> None:
    """The charge is added to what was booked while the call was under way."""

    def answer(request: CreateRequest) -> ProviderVideo:
        rig.sql(
            "insert into attempts select (jsonb_populate_record(a, jsonb_build_object('n', 2, "
            "'state', 'accepted', 'canonical_id', 'up_0', 'provider_video_id', 'up_0', "
            "'accepted_at', sent_at, 'ended_at', now(), 'cost', 5, 'detached', true))).* "
            "from attempts a"
        )
        rig.sql("update videos set cost_actual = 5")
        return finished(rig)(request)

    rig.upstream.script("create", answer)

    video = rig.submitted()

    price = rig.ctx.catalog.price(rig.provider, "sora-2", video.size, video.seconds)
    assert 5 + price == video.cost_actual


def test_submit_polls_when_the_answer_may_speak_of_the_request(rig: Rig) -> None:
    """A look reads `success` as finished; a create may have been the success itself."""
    rig.upstream.script("create", finished(rig, raw_status="success"))

    video = rig.submitted()

    assert ("poll", Decimal(0)) == (video.step, video.cost_actual)


def test_submit_tells_the_finished_from_the_running_when_a_message_has_both(rig: Rig) -> None:
    """Each goes its own way, in one transaction."""
    rig.upstream.script("create", finished(rig))
    videos = rig.want_many(3)
    rig.admit(*videos)

    submit.submit(rig.ctx, *(video.id for video in videos))

    assert ["poll", "poll", "store"] == sorted(rig.video(video).step or "" for video in videos)


def test_finished_answer_of_a_cancelled_video_is_left_to_the_watch(rig: Rig) -> None:
    """A video that was cancelled meanwhile does not move; its attempt is watched, with no end."""

    def answer(request: CreateRequest) -> ProviderVideo:
        endings.cancel(rig.ctx, ANN, video.id)
        return finished(rig)(request)

    video = rig.want()
    rig.upstream.script("create", answer)

    submit.submit(rig.ctx, video.id)

    (attempt,) = rig.attempts(video)
    assert ("cancelled", True, None) == (
        rig.video(video).status,
        attempt.detached,
        attempt.ended_at,
    )
