"""The sweep: slots are given within the caps, rings are repeated, nothing is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator import dispatch, endings
from orchestrator.context import Context
from orchestrator.db import providers, quotas
from orchestrator.dispatch import Swept
from orchestrator.errors import ProviderAmbiguous, ProviderBusy, ProviderMisconfigured
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.rings import Ring
from orchestrator.steps import submit
from tests.core import race
from tests.rig import ANN, MakeRig, Rig, make_catalog


def admitted(rig: Rig) -> int:
    """How many videos have a slot."""
    return int(rig.sql("select count(*) from videos where admitted_at is not null"))


class Backlog:
    """A broker in which messages wait: none of them has been lost."""

    def __init__(self, waiting: int | None):
        self.waiting = waiting
        self.rings: list[Ring] = []

    def ring(self, rings: list[Ring]) -> bool:
        """Keep them."""
        self.rings += rings
        return True

    def depths(self) -> dict[str, int] | None:
        """As many as the test says; None: it does not answer."""
        return None if self.waiting is None else {"create": self.waiting}


def with_broker(rig: Rig, broker: Any) -> Context:
    """The same context with another broker."""
    return replace(rig.ctx, broker=broker)


# Caps.


def test_sweep_admits_up_to_max_in_flight(make_rig: MakeRig) -> None:
    """Fresh admissions count as slots: a second sweep adds nothing."""
    rig = make_rig(catalog=make_catalog(max_in_flight=3))
    rig.want_many(10)

    first, second = dispatch.sweep(rig.ctx), dispatch.sweep(rig.ctx)

    assert (3, 0) == (first.admitted, second.admitted)
    assert 3 == admitted(rig)


def test_sweep_counts_open_attempts_as_slots(make_rig: MakeRig) -> None:
    """Sent, unknown, running and detached ones hold their slot; a generated one does not."""
    rig = make_rig(catalog=make_catalog(max_in_flight=4))
    rig.want_many(9)
    dispatch.sweep(rig.ctx)
    rig.upstream.script("create", ProviderAmbiguous())
    started = [task[1] for task in rig.rings if task[0] == "create"]
    for video_id in started:
        submit.submit(rig.ctx, video_id)
    unknown, detached, generated, _ = (rig.video(video_id) for video_id in started)
    endings.cancel(rig.ctx, ANN, detached.id)
    full = dispatch.sweep(rig.ctx).admitted
    rig.upstream.becomes(rig.upstream_id(generated), "completed")
    rig.look(generated)

    after = dispatch.sweep(rig.ctx).admitted

    assert (0, 1) == (full, after)
    assert ["unknown"] == rig.states(unknown)


def test_sweep_admits_at_the_rate_of_the_provider(make_rig: MakeRig) -> None:
    """PROVIDER_RPM=60 starts with ten seconds' worth, then one a second."""
    rig = make_rig(catalog=make_catalog(rpm=60))
    rig.want_many(30)

    at_once = dispatch.sweep(rig.ctx).admitted
    rig.pass_time(3)
    later = dispatch.sweep(rig.ctx).admitted

    assert 10 == at_once
    assert 3 <= later <= 4


def test_rate_is_not_spent_on_videos_that_do_not_start(make_rig: MakeRig) -> None:
    """Sweeps over a backlog that is not due leave the rate to what is."""
    rig = make_rig(catalog=make_catalog(rpm=60))
    rig.want("later", run_at=datetime.now(UTC) + timedelta(hours=1))
    for _ in range(3):
        dispatch.sweep(rig.ctx)
    rig.want_many(20)

    swept = dispatch.sweep(rig.ctx)

    assert 10 == swept.admitted


def test_sweep_never_lets_a_user_exceed_their_own_cap(make_rig: MakeRig) -> None:
    """`max_in_flight` of a user holds although the provider has room."""
    rig = make_rig(catalog=make_catalog(max_in_flight=100))
    rig.want_many(5, user="ann")
    rig.want_many(5, user="bob")
    with rig.ctx.database.transaction() as connection:
        quotas.change(connection, "ann", {"max_in_flight": 2})

    dispatch.sweep(rig.ctx)

    per_user = "select count(*) from videos where admitted_at is not null and user_id = :user"
    assert (2, 5) == (rig.sql(per_user, user="ann"), rig.sql(per_user, user="bob"))


def test_create_waits_for_the_sweep_when_there_is_a_cap(make_rig: MakeRig) -> None:
    """Slots are dealt out in one place; only without caps a video starts with its creation."""
    capped = make_rig(catalog=make_catalog(max_in_flight=3))
    free = make_rig()

    waits = capped.want()
    waits_too = free.want()
    dispatch.sweep(free.ctx)
    starts = free.want()

    assert [True, True, False] == [v.admitted_at is None for v in (waits, waits_too, starts)]


# Pauses.


def test_paused_provider_is_sent_nothing(rig: Rig) -> None:
    """Videos wait while it is paused, also such as had a slot before."""
    before = [rig.want(), rig.want()]
    rig.upstream.script("create", ProviderBusy(http_status=429, retry_after=60))
    submit.submit(rig.ctx, before[0].id)

    submit.submit(rig.ctx, before[1].id)
    dispatch.sweep(rig.ctx)
    after = rig.want()
    dispatch.sweep(rig.ctx)

    assert 1 == rig.upstream.count("create")
    assert [None] * 3 == [rig.video(video).admitted_at for video in (*before, after)]


def test_one_video_tries_whether_the_provider_is_back(rig: Rig) -> None:
    """Half-open: after the pause one is admitted; while it is being sent, no other."""
    first, *_ = rig.want_many(5)
    rig.upstream.script("create", ProviderBusy(http_status=429))
    submit.submit(rig.ctx, first.id)
    dispatch.sweep(rig.ctx)
    rig.pass_time(60)
    during: list[Swept] = []

    def answer(request: CreateRequest) -> ProviderVideo:
        during.append(dispatch.sweep(rig.ctx))
        return rig.upstream.accept(request)

    rig.upstream.script("create", answer)
    tried = dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, rig.rings[-1][1])
    recovered = dispatch.sweep(rig.ctx)

    assert (1, [0], 4) == (tried.admitted, [swept.admitted for swept in during], recovered.admitted)


def test_operator_resumes_a_provider(rig: Rig) -> None:
    """A key that was put right need not wait for the pause to end."""
    video = rig.want()
    rig.upstream.script("create", ProviderMisconfigured("Wrong key.", http_status=401))
    submit.submit(rig.ctx, video.id)
    with rig.ctx.database.transaction() as connection:
        resumed = providers.resume(connection, rig.provider.name, rig.provider.account)

    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, video.id)

    assert (True, "in_progress") == (resumed, rig.video(video).status)


def test_provider_that_an_operator_stopped_stays_stopped(rig: Rig) -> None:
    """Until somebody resumes it, however long."""
    rig.want()
    with rig.ctx.database.transaction() as connection:
        providers.stop(connection, rig.provider.name, rig.provider.account, reason="Invoice.")

    rig.pass_time(10_000)
    dispatch.sweep(rig.ctx)

    assert 0 == admitted(rig)


# Rings.


def test_lost_ring_is_repeated_when_broker_is_empty(rig: Rig) -> None:
    """Nobody took it and nothing waits there: after three seconds it is rung again."""
    video = rig.want()

    at_once = dispatch.sweep(rig.ctx).rung
    rig.pass_time(4)
    later = dispatch.sweep(rig.ctx).rung

    assert (0, 1) == (at_once, later)
    assert ("create", video.id) == rig.rings[-1]


@pytest.mark.parametrize(("waiting", "after_4s", "after_70s"), [(1, 0, 1), (0, 1, 1), (None, 1, 1)])
def test_ring_is_repeated_later_when_messages_wait(
    rig: Rig, waiting: int | None, after_4s: int, after_70s: int
) -> None:
    """While messages wait it is probably one of them; a broker that is away has lost all."""
    rig.want()
    ctx = with_broker(rig, Backlog(waiting))
    rig.pass_time(4)

    soon = dispatch.sweep(ctx).rung
    rig.pass_time(66)
    late = dispatch.sweep(ctx).rung

    assert (after_4s, after_70s) == (soon, late)


@pytest.mark.parametrize(("listed", "messages"), [("paged", 1), ("none", 3)])
def test_videos_share_no_message_where_a_crash_could_not_be_told(
    make_rig: MakeRig, listed: str, messages: int
) -> None:
    """Without a list, all videos of a message would be held when its worker dies."""
    rig = make_rig(catalog=make_catalog(list=listed))
    rig.want_many(3)
    broker = Backlog(0)

    rig.pass_time(60)
    dispatch.sweep(with_broker(rig, broker))

    assert messages == len(broker.rings)


def test_wiped_broker_is_rebuilt_from_the_rows(rig: Rig) -> None:
    """All messages gone: every due step, whatever it is, is rung again."""
    submitted = rig.want("one")
    polled = rig.submitted("two")
    stored = rig.generated("three")
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted("four")
    detached = rig.submitted("five")
    endings.cancel(rig.ctx, ANN, detached.id)
    broker = Backlog(0)

    rig.pass_time(60)
    dispatch.sweep(with_broker(rig, broker))

    account = (rig.provider.name, rig.provider.account)
    assert [
        Ring("create", (submitted.id,), "create"),
        Ring("poll", ([polled.id],), "poll"),
        Ring("reconcile", account, "dispatch"),
        Ring("store", (stored.id,), "store"),
        Ring("watch", account, "poll"),
    ] == sorted(broker.rings, key=lambda ring: ring.task)


def test_rung_step_stays_due(rig: Rig) -> None:
    """A ring moves no due time: it may be lost."""
    video = rig.want()
    rig.pass_time(4)
    due_at = rig.video(video).due_at

    dispatch.sweep(rig.ctx)

    assert due_at == rig.video(video).due_at


def test_step_under_a_living_lease_is_not_rung(rig: Rig) -> None:
    """Whoever holds it is at work."""
    rig.want()
    rig.sql("update videos set lease_token = 'x', lease_until = now() + interval '1 minute'")
    rig.pass_time(4)

    rung = dispatch.sweep(rig.ctx).rung
    rig.expire_leases()
    freed = dispatch.sweep(rig.ctx).rung
    rig.sql("update videos set lease_token = null, lease_until = null")

    assert (0, 1) == (rung, freed)


def test_polls_of_one_account_share_messages(make_rig: MakeRig) -> None:
    """A hundred in a message where a list serves them all, three where each is asked for alone."""
    listed = make_rig()
    videos = [listed.submitted(f"kite {n}") for n in range(5)]
    alone = make_rig(catalog=make_catalog(list="none"))

    listed.pass_time(30)
    dispatch.sweep(listed.ctx)
    listed.pass_time(4)
    dispatch.sweep(alone.ctx)

    chunks = [[len(ids) for task, ids in rig.rings if task == "poll"] for rig in (listed, alone)]
    assert [[5], [3, 2]] == chunks
    assert 5 == len(videos)


def test_remix_is_rung_on_its_own_queue(rig: Rig) -> None:
    """So that people can give remixes workers of their own."""
    source = rig.generated()
    rig.store(source)
    remix = rig.remix(source)
    rig.pass_time(4)

    dispatch.sweep(rig.ctx)

    assert ("remix", remix.id) == rig.rings[-1]


# Races and clocks.


def test_two_sweeps_at_once_admit_nothing_twice(make_rig: MakeRig) -> None:
    """Eight sweeps at the same moment: as many admissions as there are slots, each rung once."""
    rig = make_rig(catalog=make_catalog(max_in_flight=20))
    rig.want_many(50)

    swept = race(*[lambda: dispatch.sweep(rig.ctx)] * 8)

    assert 20 == sum(one.admitted for one in swept if isinstance(one, Swept))
    rung = [video_id for task, video_id in rig.rings if task == "create"]
    assert (20, 20) == (len(rung), len(set(rung)))
    assert 20 == admitted(rig)


def test_rescue_happens_once_when_sweeps_race(rig: Rig) -> None:
    """Several find the same dead worker; the attempt becomes unknown once, and stays one."""
    rig.want()
    rig.sql(
        "insert into attempts (video_id, n, provider, account, lease_token, lease_until) "
        "select id, 1, provider, account, 'dead', now() - interval '1 second' from videos"
    )
    rig.sql("update videos set lease_token = 'dead', lease_until = now() - interval '1 second'")

    race(*[lambda: dispatch.sweep(rig.ctx)] * 4)

    assert 1 == rig.sql("select count(*) from attempts where state = 'unknown'")
    assert rig.sql("select lease_token from videos") is None


def test_run_at_is_waited_for(rig: Rig) -> None:
    """A video with a later start is not admitted before it, and is then."""
    video = rig.want(run_at=datetime.now(UTC) + timedelta(hours=2))

    early = dispatch.sweep(rig.ctx).admitted
    rig.pass_time(2 * 3600 + 1)
    late = dispatch.sweep(rig.ctx).admitted

    assert (0, 1) == (early, late)
    assert video.id == rig.rings[-1][1]


def test_video_fails_when_it_could_not_start_in_time(make_rig: MakeRig) -> None:
    """START_TIMEOUT_SECONDS in the queue without an attempt: failed and released."""
    rig = make_rig(catalog=make_catalog(max_in_flight=1), start_timeout_seconds=3600)
    rig.submitted("holds the only slot")
    rig.want_many(2)
    waiting = rig.want()
    rig.pass_time(3590)
    in_time = dispatch.sweep(rig.ctx).expired

    rig.pass_time(20)
    too_late = dispatch.sweep(rig.ctx).expired

    after = rig.video(waiting)
    assert (0, "failed", "start_timeout", "released") == (
        in_time,
        after.status,
        after.error_code,
        after.quota_state,
    )
    assert 3 <= too_late <= 4


def test_start_timeout_counts_from_run_at(make_rig: MakeRig) -> None:
    """A video that was to start tomorrow is not late today."""
    rig = make_rig(start_timeout_seconds=3600)
    video = rig.want(run_at=datetime.now(UTC) + timedelta(hours=5))
    rig.pass_time(5 * 3600)

    swept = dispatch.sweep(rig.ctx)

    assert (0, "queued") == (swept.expired, rig.video(video).status)


def test_start_timeout_spares_a_video_that_is_held(make_rig: MakeRig) -> None:
    """An operator has been asked; the clock does not decide for them."""
    rig = make_rig(catalog=make_catalog(list="none"), start_timeout_seconds=60)
    rig.upstream.script("create", ProviderAmbiguous())
    video = rig.submitted()
    rig.pass_time(600)

    dispatch.sweep(rig.ctx)

    assert "queued" == rig.video(video).status


def test_start_timeout_spares_a_video_that_is_being_submitted(make_rig: MakeRig) -> None:
    """A create under way may succeed: its answer decides."""
    rig = make_rig(start_timeout_seconds=60)
    video = rig.want()

    def answer(request: CreateRequest) -> ProviderVideo:
        rig.pass_time(600)
        dispatch.sweep(rig.ctx)
        return rig.upstream.accept(request)

    rig.upstream.script("create", answer)

    submit.submit(rig.ctx, video.id)

    assert "in_progress" == rig.video(video).status


def test_sweep_of_nothing_does_nothing(rig: Rig) -> None:
    """An idle system rings nobody."""
    assert Swept(admitted=0, rung=0, rescued=0, expired=0) == dispatch.sweep(rig.ctx)
    assert [] == rig.rings
