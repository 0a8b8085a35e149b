"""Submitting: one call per attempt, and every answer leads to the right place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from threading import Barrier, Thread

import pytest

from orchestrator import dispatch, endings
from orchestrator.catalog import Provider
from orchestrator.context import ProviderPool
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
from orchestrator.leases import Leases
from orchestrator.providers import CreateRequest, ProviderVideo, VideoProvider
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
