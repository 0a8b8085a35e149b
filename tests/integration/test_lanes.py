"""Lanes: what looks alike in a list and is not equal is never open at once, and waiting for that
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator import dispatch, endings, invariants
from orchestrator.catalog import Catalog, Model
from orchestrator.db import lanes, quotas, submitting
from orchestrator.db.lanes import Lane
from orchestrator.errors import ProviderAmbiguous, ProviderBusy
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.records import Attempt, Caller, Video
from orchestrator.rings import Ring
from orchestrator.steps import submit
from orchestrator.wishes import InputFile
from tests.core import race
from tests.factories import RingRecorder, make_image
from tests.rig import MakeRig, Rig, make_catalog
from tests.scripted_provider import accepts_then_breaks

PLAIN = Lane("l", alone=False)
ALONE = Lane("l", alone=True)
HIDDEN = [
    pytest.param({"input_reference": InputFile(make_image())}, id="image"),
    pytest.param({"quality": "high"}, id="quality"),
]
SHOWN = frozenset({"seconds", "size"})
ADMITTED = text(
    "select id from videos v where status = 'queued' and admitted_at is not null "
    "and due_at <= now() and not exists "
    "(select 1 from attempts where video_id = v.id and ended_at is null) order by rank_at, id"
)


def unknown(rig: Rig, prompt: str = "a red kite", **fields: Any) -> Video:
    """A video of whose create nobody knows what became."""
    rig.upstream.script("create", ProviderAmbiguous())
    return rig.submitted(prompt, **fields)


def waits(rig: Rig, video: Video) -> bool:
    """Whether a video waits for a lane: in nobody's way, and with nothing of what others need."""
    now = rig.video(video)
    resting = (now.admitted_at, now.due_at, now.lease_token, now.snoozed) == (
        None,
        None,
        None,
        True,
    )
    return now.waits_lane is not None and resting and rig.states(now) == []


def work(rig: Rig) -> list[str]:
    """One sweep, and all that is admitted and due is submitted, in order: whose turn it was."""
    dispatch.sweep(rig.ctx)
    with rig.ctx.database.statement() as connection:
        admitted = connection.execute(ADMITTED).scalars().all()
    for video_id in admitted:
        submit.submit(rig.ctx, video_id)
    return list(admitted)


def give_up(rig: Rig) -> None:
    """Let every attempt of unknown outcome be given up."""
    rig.clean_look()
    rig.clean_look()


class PowerCut(Exception):
    """The process is gone before its commit."""


# Who may be open beside whom.


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_request_waits_for_a_plain_one_when_all_is_echoed(
    rig: Rig, hidden: dict[str, Any]
) -> None:
    """The list shows no image and no quality: it could be given the plain one's video."""
    unknown(rig)

    other = rig.submitted(**hidden)

    assert waits(rig, other)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_plain_request_waits_for_a_hidden_one_when_all_is_echoed(
    rig: Rig, hidden: dict[str, Any]
) -> None:
    """The other way round it is the same."""
    unknown(rig, **hidden)

    other = rig.submitted()

    assert waits(rig, other)


def test_remix_and_plain_request_wait_for_each_other(rig: Rig) -> None:
    """No list shows what a video is a remix of."""
    source = rig.generated("the source")
    rig.store(source)
    unknown(rig, "a blue kite")
    remix = rig.remix(source, "a blue kite")

    submit.submit(rig.ctx, remix.id)

    assert waits(rig, remix)


def test_each_gets_its_own_when_a_plain_and_a_hidden_request_are_lost(rig: Rig) -> None:
    """Both answers were cut: the list alone could not tell them apart, time does."""
    image = InputFile(make_image())
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    plain = rig.submitted()
    hidden = rig.submitted(input_reference=image)
    rig.clean_look()
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))

    work(rig)
    rig.clean_look()

    assert ("up_1", "up_2") == (rig.upstream_id(plain), rig.upstream_id(hidden))
    assert [False, True] == [
        request.input_reference is not None for request in rig.upstream.requests
    ]


def test_equal_plain_requests_are_open_together(rig: Rig) -> None:
    """Fifty of them, all unknown: nobody waits for anybody."""
    rig.upstream.script("create", *[ProviderAmbiguous()] * 50)

    videos = [rig.submitted(metadata={"n": n}) for n in range(50)]

    assert [["unknown"]] * 50 == [rig.states(video) for video in videos]


def test_other_prompts_are_never_waited_for_when_they_are_echoed(rig: Rig) -> None:
    """A lane of one prompt is nothing to another."""
    unknown(rig, "a red kite", quality="high")

    other = rig.submitted("a blue kite", quality="high")

    assert "in_progress" == other.status


def test_nobody_has_a_lane_where_there_is_no_list(make_rig: MakeRig) -> None:
    """Nothing is ever found there, so nothing can be mixed up."""
    rig = make_rig(catalog=make_catalog(list="none"))
    unknown(rig, quality="high")

    other = rig.submitted()

    assert "in_progress" == other.status
    assert {(None, None)} == {(a.lane, a.shown) for a in rig.attempts(other)}


def test_lane_is_respected_that_the_release_before_has_taken(rig: Rig) -> None:
    """Its attempts have a lane only where they are hidden, and no `shown`."""
    unknown(rig, quality="high")
    rig.sql("update attempts set shown = null")

    other = rig.submitted()

    assert waits(rig, other)


# Races, forced on two connections.


@contextmanager
def entering(rig: Rig, video: Video, lane: Lane) -> Iterator[Event]:
    """A worker that has written its attempt and not committed yet; set the event to let it."""
    written, go = Event(), Event()

    def enter() -> None:
        with rig.ctx.database.transaction() as connection:
            assert open_in(connection, video, lane) is not None
            written.set()
            assert go.wait(30)

    thread = Thread(target=enter)
    thread.start()
    assert written.wait(30)
    try:
        yield go
    finally:
        go.set()
        thread.join()


def open_in(connection: Any, video: Video, lane: Lane) -> Attempt | None:
    """Claim a video and open its attempt in this lane."""
    (claimed,) = submitting.claim_submits(connection, [video.id], token=video.id, lease=30)
    opening = submitting.Opening(claimed, lane)
    opened = submitting.open_attempts(connection, [opening], token=video.id, lease=30)
    return opened.get(video.id)


def second(rig: Rig, video: Video, lane: Lane, go: Event) -> Attempt | None:
    """Enter the lane while another one does; it is let go as soon as we wait for it."""

    def watch() -> None:
        query = "select count(*) from pg_stat_activity where wait_event = 'advisory'"
        while not rig.sql(query) and not go.wait(0.01):
            pass
        go.set()

    thread = Thread(target=watch)
    thread.start()
    try:
        with rig.ctx.database.transaction() as connection:
            return open_in(connection, video, lane)
    finally:
        go.set()
        thread.join()


@pytest.mark.parametrize(("first", "then"), [(PLAIN, ALONE), (ALONE, PLAIN), (ALONE, ALONE)])
def test_second_sees_the_first_when_both_enter_at_once(rig: Rig, first: Lane, then: Lane) -> None:
    """Whoever comes second waits for the first one's commit, and decides by it."""
    one, other = rig.want(), rig.want()

    with entering(rig, one, first) as go:
        attempt = second(rig, other, then, go)

    assert attempt is None
    assert waits(rig, other)
    assert [] == invariants.check(rig.ctx)


def test_those_that_share_a_lane_enter_it_together(rig: Rig) -> None:
    """A hundred videos of one prompt do not wait for each other's commits."""
    one, other = rig.want(), rig.want()

    with entering(rig, one, PLAIN), rig.ctx.database.transaction() as connection:
        connection.execute(text("set local lock_timeout = '5s'"))
        attempt = open_in(connection, other, PLAIN)

    assert attempt is not None
    assert [] == invariants.check(rig.ctx)


def test_second_enters_when_the_first_did_not_commit(rig: Rig) -> None:
    """Nothing was written, so nothing is in the way."""
    one, other = rig.want(), rig.want()

    def dies() -> None:
        with rig.ctx.database.transaction() as connection:
            open_in(connection, one, ALONE)
            raise PowerCut

    with pytest.raises(PowerCut):
        dies()

    with rig.ctx.database.transaction() as connection:
        attempt = open_in(connection, other, ALONE)

    assert attempt is not None


def test_other_lanes_do_not_wait_for_a_transaction(rig: Rig) -> None:
    """While one enters its lane, the next lane is entered."""
    one, other = rig.want(), rig.want()

    with (
        entering(rig, one, ALONE),
        rig.ctx.database.transaction() as connection,
    ):
        attempt = open_in(connection, other, Lane("another", alone=True))

    assert attempt is not None


def test_lane_stays_pure_when_plain_and_hidden_requests_race(rig: Rig) -> None:
    """Sixteen at the same moment: many plain ones, or a single hidden one."""
    videos = [rig.want(quality="high" if n % 4 == 0 else None) for n in range(16)]
    rig.upstream.script("create", *[ProviderAmbiguous()] * 16)

    race(*[lambda video=video: submit.submit(rig.ctx, video.id) for video in videos])

    kinds = {video.quality for video in videos if rig.states(video) == ["unknown"]}
    assert 1 == len(kinds)
    assert [] == invariants.check(rig.ctx)


# Waiting costs nothing.


def test_waiting_takes_no_tokens_and_no_claims(make_rig: MakeRig) -> None:
    """Twenty sweeps while the lane is taken: each was tried once, and its token given back."""
    rig = make_rig(catalog=make_catalog(rpm=60, echoes=SHOWN))
    rig.upstream.script("create", ProviderAmbiguous())
    videos = rig.want_many(6)

    first = work(rig)
    tokens = rig.sql("select rate_tokens from providers")
    later = [video_id for _ in range(20) for video_id in work(rig)]

    assert 6 == len(first)
    assert 9 <= tokens < 9.5
    assert [] == later
    assert 1 == rig.upstream.count("create")
    assert 5 == sum(waits(rig, video) for video in videos)


def test_next_is_called_when_the_lane_is_free(make_rig: MakeRig) -> None:
    """One at a time, in order, each with the sweep after the one before it was settled; who is
    submitted again waits like the others.
    """
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    rig.upstream.script("create", ProviderAmbiguous())
    for prompt in ("one", "two", "three", "four"):
        rig.submitted(prompt)
    give_up(rig)

    for _ in range(5):
        work(rig)

    sent = [request.prompt for request in rig.upstream.requests]
    assert ["one", "two", "one", "three", "four"] == sent


def test_dispatch_is_rung_when_somebody_waits_for_the_lane(make_rig: MakeRig) -> None:
    """The next one need not wait for the next second's sweep."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    first, other = rig.want("one"), rig.want("two")
    rig.upstream.script("create", meanwhile(rig, lambda: submit.submit(rig.ctx, other.id)))

    submit.submit(rig.ctx, first.id)
    passed_on = broker(rig).rings[-1]
    work(rig)

    assert Ring("dispatch", (), "dispatch") == passed_on
    assert "in_progress" == rig.video(other).status
    assert passed_on != broker(rig).rings[-1]


def test_turn_goes_to_who_has_least_in_flight(make_rig: MakeRig) -> None:
    """A user with a hundred videos in a lane does not delay another one's first."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    rig.want_many(20, user="ann")
    work(rig)
    mine = rig.want("mine", user="bob")

    turns = [work(rig) for _ in range(2)]

    assert [mine.id] in turns


def test_turn_passes_over_users_at_their_cap(make_rig: MakeRig) -> None:
    """Who may not start anything now is not called, so the lane does not stand empty for them."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    with rig.ctx.database.transaction() as connection:
        quotas.ensure(connection, "ann")
        quotas.change(connection, "ann", {"max_in_flight": 1})
    first = rig.want("anns first")
    rig.admit(first)
    submit.submit(rig.ctx, first.id)
    rig.upstream.script("create", ProviderAmbiguous())
    rig.submitted("in the way", user="cid")
    ann, bob = rig.want("anns second"), rig.want("bobs", user="bob")
    rig.admit(ann, bob)
    for video in (ann, bob):
        submit.submit(rig.ctx, video.id)
    give_up(rig)

    calls(rig)
    calls(rig)

    assert not waits(rig, bob)
    assert waits(rig, ann)


def test_newcomers_do_not_overtake_who_waits(rig: Rig) -> None:
    """Plain requests could go on sharing the lane for ever: the hidden one gets its turn."""
    rig.upstream.script("create", meanwhile(rig, lambda: rig.submitted(quality="high")))
    rig.submitted()
    hidden = rig.video(rig.sql("select id from videos where quality = 'high'"))

    newcomer = rig.submitted()
    in_line = (waits(rig, hidden), waits(rig, newcomer))
    work(rig)
    work(rig)

    assert (True, True) == in_line
    assert [None, "high", None] == [request.quality for request in rig.upstream.requests]


def test_turn_lapses_when_it_is_not_taken(make_rig: MakeRig) -> None:
    """Who was called and cannot start holds the lane for ten seconds, no longer."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    first = unknown(rig, "one")
    others = [rig.submitted("two"), rig.submitted("three")]
    give_up(rig)
    rig.sql("update videos set due_at = now() + interval '1 hour' where id = :id", id=first.id)

    called = [calls(rig) for _ in range(2)]
    rig.pass_time(lanes.TURN_SECONDS + 1)
    called.append(calls(rig))

    assert [1, 0, 1] == called
    assert [False, False] == [waits(rig, video) for video in others]


def test_sweeps_at_once_call_once(make_rig: MakeRig) -> None:
    """Eight sweeps find the same free lane: one is called."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    rig.upstream.script("create", ProviderAmbiguous())
    rig.want_many(6)
    work(rig)
    give_up(rig)

    race(*[lambda: dispatch.sweep(rig.ctx)] * 8)

    called = "select count(*) from videos where waits_lane is not null and due_at is not null"
    assert 1 == rig.sql(called)


def test_waiting_video_can_be_cancelled(make_rig: MakeRig) -> None:
    """Nobody waits behind it any longer."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN))
    unknown(rig, "one")
    waiting = rig.submitted("two")
    give_up(rig)

    cancelled = endings.cancel(rig.ctx, Caller("ann"), waiting.id)
    work(rig)

    assert "cancelled" == cancelled.status
    assert 2 == rig.upstream.count("create")


def test_waiting_video_fails_when_it_could_not_start_in_time(make_rig: MakeRig) -> None:
    """The lane was never free: the clock decides as for others."""
    rig = make_rig(catalog=make_catalog(echoes=SHOWN), start_timeout_seconds=600)
    unknown(rig, "one")
    waiting = rig.submitted("two")

    rig.pass_time(700)
    dispatch.sweep(rig.ctx)

    after = rig.video(waiting)
    assert ("failed", "start_timeout") == (after.status, after.error_code)


def test_waiting_videos_go_to_the_fallback_when_their_provider_is_paused(
    make_rig: MakeRig,
) -> None:
    """An outage that leaves one outcome unknown does not keep the others from going elsewhere."""
    rig = make_rig(catalog=two_providers())
    unknown(rig, "one")
    waiting = rig.submitted("two")
    before = waits(rig, waiting)
    rig.upstream.script("create", ProviderBusy(http_status=503, retry_after=100))
    rig.submitted("three", seconds="8")

    dispatch.sweep(rig.ctx)
    dispatch.sweep(rig.ctx)

    after = rig.video(waiting)
    assert before
    assert ("second", None) == (after.provider, after.waits_lane)


def two_providers() -> Catalog:
    """`sora-2` at two providers whose lists show no prompt."""
    base = make_catalog(echoes=SHOWN)
    (first,) = base.providers.values()
    other = replace(first, name="second", account="other")
    return Catalog(
        providers={first.name: first, other.name: other},
        models={"sora-2": Model("sora-2", (first.name, other.name))},
    )


def calls(rig: Rig) -> int:
    """Call whom a sweep would call; nobody is admitted."""
    with rig.ctx.database.transaction() as connection:
        return lanes.call(connection)


def meanwhile(rig: Rig, happens: Callable[[], object]) -> Callable[[CreateRequest], ProviderVideo]:
    """An answer during which something else happens."""

    def answer(request: CreateRequest) -> ProviderVideo:
        happens()
        return rig.upstream.accept(request)

    return answer


def broker(rig: Rig) -> RingRecorder:
    """What was rung, whole."""
    recorder = rig.ctx.broker
    assert isinstance(recorder, RingRecorder)
    return recorder
