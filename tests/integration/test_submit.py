"""Submitting: one call per attempt, and every answer leads to the right place."""

from __future__ import annotations

from decimal import Decimal
from threading import Barrier, Thread

import pytest

from orchestrator import dispatch, endings
from orchestrator.errors import (
    ContentMissing,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnreachable,
    StorageError,
    Unsupported,
)
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.steps import submit
from orchestrator.wishes import InputFile
from tests.factories import make_image
from tests.rig import ANN, GRACE, MakeRig, Rig, make_catalog
from tests.scripted_provider import accepts_then_breaks


def test_submit_accepts_when_provider_answers(rig: Rig) -> None:
    """An id from the provider makes the video run, with a poll due and a deadline."""
    video = rig.submitted()

    (attempt,) = rig.attempts(video)
    assert ("in_progress", "poll", None) == (video.status, video.step, video.lease_token)
    assert ("accepted", "up_1", False) == (
        attempt.state,
        attempt.provider_video_id,
        attempt.detached,
    )
    assert ["created", "status_changed"] == rig.events(video)
    assert video.due_at is not None
    assert video.deadline_at is not None
    assert 3590 < (video.deadline_at - video.updated_at).total_seconds() <= 3600


def test_submit_sends_whole_request_when_called(rig: Rig) -> None:
    """Model, seconds and size go out explicitly, and the attempt's id as the key."""
    video = rig.submitted("a red kite", seconds="7", size="320x240", quality="high")

    (request,) = rig.upstream.requests
    assert (
        CreateRequest(
            attempt_id=f"{video.id}-1",
            model="sora-2",
            prompt="a red kite",
            seconds="7",
            size="320x240",
            quality="high",
        )
        == request
    )


def test_submit_writes_attempt_before_call(rig: Rig) -> None:
    """While the provider is being called, the attempt stands in the database as sent."""
    seen: list[str] = []

    def answer(request: CreateRequest) -> ProviderVideo:
        seen.append(str(rig.sql("select state from attempts")))
        return rig.upstream.accept(request)

    rig.upstream.script("create", answer)

    rig.submitted()

    assert ["sent"] == seen


def test_submit_holds_no_transaction_while_calling(rig: Rig) -> None:
    """No connection of ours is in a transaction while the provider takes its time."""
    seen: list[int] = []

    def answer(request: CreateRequest) -> ProviderVideo:
        seen.append(
            rig.sql(
                "select count(*) from pg_stat_activity where datname = current_database() "
                "and state like 'idle in transaction%'"
            )
        )
        return rig.upstream.accept(request)

    rig.upstream.script("create", answer)

    rig.submitted()

    assert [0] == seen


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ProviderBusy(http_status=429), id="429"),
        pytest.param(ProviderBusy(http_status=503, retry_after=7), id="503"),
        pytest.param(ProviderUnreachable(), id="connect"),
    ],
)
def test_submit_waits_in_backlog_when_refused_for_now(rig: Rig, error: Exception) -> None:
    """429, 503 and connect failures cost no attempt and nobody's place: the provider is paused."""
    rig.upstream.script("create", error)

    video = rig.submitted()

    assert ("queued", None, "reserved") == (video.status, video.admitted_at, video.quota_state)
    assert ["rejected"] == rig.states(video)
    assert 1 == rig.quota().videos_created
    assert rig.pause_seconds() > 1


def test_submit_pauses_as_long_as_asked_when_told_retry_after(rig: Rig) -> None:
    """Retry-After is honoured, not our shorter backoff."""
    rig.upstream.script("create", ProviderBusy(http_status=429, retry_after=120))

    rig.submitted()

    assert 115 < rig.pause_seconds() <= 120


def test_submit_never_counts_refusals_when_they_repeat(make_rig: MakeRig) -> None:
    """However often a provider says "later", the video waits: only unknown outcomes count."""
    rig = make_rig(max_attempts=1)
    rig.upstream.script("create", *[ProviderBusy(http_status=429)] * 3)
    video = rig.want()

    for _ in range(4):
        rig.admit(video)
        rig.pass_time(1000)
        submit.submit(rig.ctx, video.id)

    assert ["rejected", "rejected", "rejected", "accepted"] == rig.states(video)
    assert "in_progress" == rig.video(video).status


def test_pauses_grow_when_refusals_repeat(rig: Rig) -> None:
    """Each pause in a row is longer than the one before; an acceptance starts anew."""
    rig.upstream.script("create", *[ProviderBusy(http_status=429)] * 3)
    video = rig.want()
    pauses = []
    for _ in range(3):
        rig.pass_time(400)
        rig.admit(video)
        submit.submit(rig.ctx, video.id)
        pauses.append(round(rig.pause_seconds()))

    rig.pass_time(400)
    rig.admit(video)
    submit.submit(rig.ctx, video.id)

    state = rig.state()
    assert [2, 4, 8] == pauses
    assert state is not None
    assert (0, None) == (state.pauses, state.paused_until)


def test_submit_pauses_provider_when_it_refuses_us(rig: Rig) -> None:
    """401 and the like are the operator's matter: paused with the reason, the video waits."""
    rig.upstream.script(
        "create", ProviderMisconfigured("The provider does not accept our key.", http_status=401)
    )

    video = rig.submitted()

    state = rig.state()
    assert state is not None
    assert "The provider does not accept our key." == state.pause_reason
    assert rig.pause_seconds() > 20
    assert ("queued", None) == (video.status, video.error_code)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderRejected("Too violent.", code="moderation_blocked", http_status=400),
         "moderation_blocked"),
        (ProviderRejected("No such size.", http_status=400), "provider_rejected"),
        (Unsupported("It cannot."), "unsupported"),
        (ContentMissing(), "content_missing"),
    ],
)  # fmt: skip
def test_submit_fails_video_when_request_is_refused(
    rig: Rig, error: ProviderRejected, code: str
) -> None:
    """A request that will never do fails the video at once, with the reason, and costs nothing."""
    rig.upstream.script("create", error)

    video = rig.submitted()

    assert ("failed", code, error.message) == (video.status, video.error_code, video.error_message)
    assert ["rejected"] == rig.states(video)
    assert ("released", 0, Decimal(0)) == (
        video.quota_state,
        rig.quota().videos_created,
        rig.quota().cost_used,
    )
    assert ["created", "status_changed", "failed"] == rig.events(video)
    assert 0 == rig.pause_seconds()


def test_submit_knows_nothing_when_outcome_is_ambiguous(rig: Rig) -> None:
    """A cut answer makes the attempt unknown: nothing more is sent, the first look comes later."""
    rig.upstream.script("create", ProviderAmbiguous("Cut.", http_status=502, detail="<html>"))

    video = rig.submitted()

    (attempt,) = rig.attempts(video)
    assert ("queued", None, None) == (video.status, video.lease_token, video.due_at)
    assert ("unknown", 502, "<html>") == (attempt.state, attempt.http_status, attempt.error)
    assert attempt.due_at is not None
    assert attempt.unknown_at is not None
    assert GRACE - 1 < (attempt.due_at - attempt.unknown_at).total_seconds() <= GRACE


def test_submit_sends_nothing_more_when_outcome_is_unknown(rig: Rig) -> None:
    """Rings and sweeps for a video whose attempt is unknown do not submit again."""
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    video = rig.submitted()

    for _ in range(3):
        rig.admit(video)
        dispatch.sweep(rig.ctx)
        submit.submit(rig.ctx, video.id)

    assert 1 == rig.upstream.count("create")


def test_submit_comes_back_soon_when_our_storage_fails(rig: Rig) -> None:
    """An image that cannot be read now is our fault, before anything was sent."""
    video = rig.want(input_reference=InputFile(make_image()))

    class Broken:
        def open(self, key: str, **_: object) -> None:
            raise StorageError("The disk is away.")

    sick = rig.with_storage(Broken())
    submit.submit(sick, video.id)

    after = rig.video(video)
    assert ("queued", ["rejected"]) == (after.status, rig.states(video))
    assert 0 == rig.upstream.count("create")
    assert 0 == rig.pause_seconds()


def test_submit_sends_image_when_one_was_given(rig: Rig) -> None:
    """The bytes of the reference image come from storage, with their type."""
    image = make_image()

    rig.submitted(input_reference=InputFile(image))

    (request,) = rig.upstream.requests
    assert request.input_reference is not None
    assert (image, "image/png") == (
        request.input_reference.data,
        request.input_reference.content_type,
    )


def test_remix_names_upstream_source_when_submitted(rig: Rig) -> None:
    """A remix is asked of the provider's own id of its source."""
    source = rig.generated()
    rig.store(source)
    remix = rig.remix(source)

    submit.submit(rig.ctx, remix.id)

    assert ("remix", rig.upstream_id(source)) in rig.upstream.calls
    assert "in_progress" == rig.video(remix).status


def test_remix_fails_when_source_is_gone_upstream(rig: Rig) -> None:
    """The provider forgot the source: the remix fails with that reason and is released."""
    source = rig.generated()
    rig.store(source)
    remix = rig.remix(source)
    rig.upstream.script("remix", ProviderRejected("Gone.", code="source_gone", http_status=404))

    submit.submit(rig.ctx, remix.id)

    after = rig.video(remix)
    assert ("failed", "source_gone", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )


def test_submit_calls_once_when_message_comes_twenty_times(rig: Rig) -> None:
    """Twenty deliveries of one message in twenty threads make one create."""
    video = rig.want()
    barrier = Barrier(20)

    def deliver() -> None:
        barrier.wait()
        submit.submit(rig.ctx, video.id)

    threads = [Thread(target=deliver) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == rig.upstream.count("create")
    assert ["accepted"] == rig.states(video)


@pytest.mark.parametrize("column", ["admitted_at = null", "due_at = now() + interval '1 hour'"])
def test_submit_does_nothing_when_video_has_no_slot_or_is_not_due(rig: Rig, column: str) -> None:
    """Messages are hints: without a slot, or before its time, nothing is sent."""
    video = rig.want()
    rig.sql(f"update videos set {column}")  # noqa: S608

    submit.submit(rig.ctx, video.id)

    assert 0 == rig.upstream.count("create")


def test_submit_does_nothing_when_video_is_unknown_or_over(rig: Rig) -> None:
    """A message about a cancelled or a strange video is harmless."""
    video = rig.want()
    endings.cancel(rig.ctx, ANN, video.id)

    submit.submit(rig.ctx, video.id)
    submit.submit(rig.ctx, "video_" + "0" * 32)

    assert [] == rig.upstream.calls


def test_submit_waits_when_its_provider_is_configured_no_longer(
    rig: Rig,
) -> None:
    """A video whose account is gone from the configuration waits in the backlog."""
    video = rig.want()
    rig.sql("update videos set account = 'another'")

    submit.submit(rig.ctx, video.id)

    after = rig.video(video)
    assert ("queued", None, []) == (after.status, after.admitted_at, rig.states(video))


# Lanes: where the list does not show the whole request, look-alikes go one at a time.


def test_lane_lets_one_look_alike_through_when_list_shows_no_prompt(make_rig: MakeRig) -> None:
    """A second request that would look the same there waits until the first one's fate is known."""
    rig = make_rig(catalog=make_catalog(echoes=frozenset({"seconds", "size"})))
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    first, second = rig.submitted("a red kite"), rig.submitted("a blue kite")
    waiting = rig.states(second)

    rig.clean_look()
    rig.admit(second)
    submit.submit(rig.ctx, second.id)

    assert ("queued", []) == (second.status, waiting)
    assert ("up_1", "up_2") == (rig.upstream_id(first), rig.upstream_id(second))


def test_lane_lets_others_through_when_they_look_different(make_rig: MakeRig) -> None:
    """Requests that the list can tell apart do not wait for each other."""
    rig = make_rig(catalog=make_catalog(echoes=frozenset({"seconds", "size"})))
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted(seconds="4")

    other = rig.submitted(seconds="8")

    assert "in_progress" == other.status


def test_lane_is_not_used_when_list_shows_everything(rig: Rig) -> None:
    """Equal requests are interchangeable where nothing else could look like them."""
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted()

    other = rig.submitted()

    assert "in_progress" == other.status


def test_lane_is_used_when_image_is_sent(rig: Rig) -> None:
    """No list shows an image: such requests wait for each other."""
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted(input_reference=InputFile(make_image()))

    other = rig.submitted(input_reference=InputFile(make_image(size=(8, 8))))

    assert ("queued", []) == (other.status, rig.states(other))


def test_lane_holds_when_ten_look_alikes_race(make_rig: MakeRig) -> None:
    """Ten threads, one lane: one attempt is open at a time, whoever wins."""
    rig = make_rig(catalog=make_catalog(echoes=frozenset({"seconds"})))
    wanted = [rig.want(f"kite {n}") for n in range(10)]
    rig.upstream.script("create", *[ProviderAmbiguous()] * 10)
    barrier = Barrier(10)

    def deliver(video_id: str) -> None:
        barrier.wait()
        submit.submit(rig.ctx, video_id)

    threads = [Thread(target=deliver, args=(video.id,)) for video in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == rig.upstream.count("create")
    assert 1 == rig.sql("select count(*) from attempts where state = 'unknown'")
