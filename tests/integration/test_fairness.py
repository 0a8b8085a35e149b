"""The next slot goes to who has least in flight, so a backlog of one delays nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator import dispatch
from orchestrator.db import quotas
from orchestrator.records import Video
from orchestrator.steps import submit
from tests.core import race
from tests.rig import MakeRig, Rig, make_catalog


def order(rig: Rig, rounds: int) -> list[str]:
    """Free one slot after the other: whose videos are admitted, in order."""
    users = []
    for _ in range(rounds):
        seen = len(rig.rings)
        dispatch.sweep(rig.ctx)
        for _, video_id in rig.rings[seen:]:
            users.append(rig.video(video_id).user_id)
            submit.submit(rig.ctx, video_id)
            rig.upstream.becomes(rig.upstream_id(rig.video(video_id)), "failed")
            rig.look(rig.video(video_id))
    return users


def waiting(rig: Rig, user: str) -> int:
    """How many videos of this user have no slot."""
    return int(
        rig.sql(
            "select count(*) from videos where status = 'queued' and admitted_at is null "
            "and user_id = :user",
            user=user,
        )
    )


def newcomer(rig: Rig) -> Video:
    """Bob's first video, wished for when all slots were taken; one has become free since."""
    dispatch.sweep(rig.ctx)
    bobs = rig.want("mine", user="bob")
    first = rig.rings[0][1]
    submit.submit(rig.ctx, first)
    rig.upstream.becomes("up_1", "failed")
    rig.look(rig.video(first))
    dispatch.sweep(rig.ctx)
    return bobs


def test_newcomer_is_next_when_another_user_waits_with_300(make_rig: MakeRig) -> None:
    """The first video of a second user takes the next free slot."""
    rig = make_rig(catalog=make_catalog(max_in_flight=3))
    rig.want_many(300, user="ann")

    bobs = newcomer(rig)

    assert ("create", bobs.id) == rig.rings[-1]
    assert 297 == waiting(rig, "ann")


def crowd(rig: Rig, number: int, user: str) -> None:
    """So many more videos of this user like the one that waits: rows, events and reservations."""
    rig.sql(
        """
        set local statement_timeout = 0;
        create temporary table more as select v.*, n from videos v, generate_series(1, :number) n
          where v.user_id = :user;
        update more set id = 'video_' || lpad(to_hex(n), 32, '0'),
          created_at = created_at - n * interval '1 millisecond',
          rank_at = rank_at - n * interval '1 millisecond';
        alter table more drop column n;
        insert into videos select * from more;
        insert into video_events (video_id, event_type, seq, user_id)
          select id, 'created', 1, user_id from more;
        update user_quotas q set videos_limit = 1000000, videos_created = videos_created + :number,
          cost_used = cost_used + (select sum(cost_estimated) from more) where user_id = :user;
        drop table more;
        analyze videos
        """,
        number=number,
        user=user,
    )


@pytest.mark.scale
@pytest.mark.timeout(600)
def test_newcomer_is_next_when_another_user_waits_with_100_000(make_rig: MakeRig) -> None:
    """A hundred thousand are in front of it, all of them older; its own slot is the next one."""
    rig = make_rig(catalog=make_catalog(max_in_flight=3))
    rig.want("first", user="ann")
    crowd(rig, 100_000, "ann")

    bobs = newcomer(rig)

    assert ("create", bobs.id) == rig.rings[-1]
    assert 99_998 == waiting(rig, "ann")


def test_slots_are_shared_when_users_wait_at_once(make_rig: MakeRig) -> None:
    """Six slots for three users: two each, whatever the length of their backlogs."""
    rig = make_rig(catalog=make_catalog(max_in_flight=6))
    for user, number in (("ann", 50), ("bob", 10), ("cid", 2)):
        rig.want_many(number, user=user)

    dispatch.sweep(rig.ctx)

    assert (48, 8, 0) == tuple(waiting(rig, user) for user in ("ann", "bob", "cid"))


def test_slots_follow_weights(make_rig: MakeRig) -> None:
    """A user of weight three gets three times as many."""
    rig = make_rig(catalog=make_catalog(max_in_flight=8))
    rig.want_many(20, user="ann")
    rig.want_many(20, user="bob")
    with rig.ctx.database.transaction() as connection:
        quotas.change(connection, "bob", {"weight": 3})

    dispatch.sweep(rig.ctx)

    assert (18, 14) == (waiting(rig, "ann"), waiting(rig, "bob"))


def test_slots_in_use_count_against_their_user(make_rig: MakeRig) -> None:
    """Who has two running waits while who has none starts."""
    rig = make_rig(catalog=make_catalog(max_in_flight=2))
    rig.want_many(2, user="ann")
    dispatch.sweep(rig.ctx)
    for _, video_id in list(rig.rings):
        submit.submit(rig.ctx, video_id)
    rig.want_many(1, user="ann")
    rig.want_many(1, user="bob")
    rig.upstream.becomes("up_1", "failed")
    rig.look(*[rig.video(video_id) for _, video_id in rig.rings[:1]])

    dispatch.sweep(rig.ctx)

    assert (1, 0) == (waiting(rig, "ann"), waiting(rig, "bob"))


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_slots_in_use_count_for_their_user_when_it_has_a_cap(make_rig: MakeRig, taken: int) -> None:
    """Whatever its videos have come to: admitted by us, or taken by the provider."""
    rig = make_rig(catalog=make_catalog(max_in_flight=10))
    with rig.ctx.database.transaction() as connection:
        quotas.change(connection, "ann", {"max_in_flight": 2})
    sent = rig.want_many(2, user="ann")
    dispatch.sweep(rig.ctx)
    submit.submit(rig.ctx, *(video.id for video in sent[:taken]))
    rig.want_many(2, user="ann")

    dispatch.sweep(rig.ctx)

    assert 2 == waiting(rig, "ann")


def test_one_slot_goes_round_when_all_wait(make_rig: MakeRig) -> None:
    """More users than slots, and equally little in flight: they take turns."""
    rig = make_rig(catalog=make_catalog(max_in_flight=1))
    rig.want_many(30, user="ann")
    rig.want_many(30, user="bob")
    rig.want_many(2, user="cid")

    users = order(rig, 6)

    assert ["ann", "bob", "cid", "ann", "bob", "cid"] == users


def test_urgent_video_starts_first_within_its_user(make_rig: MakeRig) -> None:
    """Priority orders the videos of one user."""
    rig = make_rig(catalog=make_catalog(max_in_flight=1))
    rig.want("usual")
    urgent = rig.want("urgent", priority=5)

    dispatch.sweep(rig.ctx)

    assert [("create", urgent.id)] == rig.rings


def test_priority_ages(make_rig: MakeRig) -> None:
    """One step is worth ten minutes: what has waited eleven goes before a newer one with it."""
    rig = make_rig(catalog=make_catalog(max_in_flight=1))
    patient = rig.want("patient")
    rig.pass_time(11 * 60)
    rig.want("newer", priority=1)

    dispatch.sweep(rig.ctx)

    assert [("create", patient.id)] == rig.rings


def test_priority_of_one_user_does_not_displace_another(make_rig: MakeRig) -> None:
    """Shares come before priorities: nobody buys the slots of others with a number."""
    rig = make_rig(catalog=make_catalog(max_in_flight=2))
    rig.want_many(5, user="ann", priority=100)
    rig.want_many(1, user="bob", priority=-100)

    dispatch.sweep(rig.ctx)

    assert (4, 0) == (waiting(rig, "ann"), waiting(rig, "bob"))


def test_priority_ages_while_a_video_waits_for_its_time(make_rig: MakeRig) -> None:
    """What was asked for longer ago and starts now goes before a newer one, unless that is
    urgent.
    """
    rig = make_rig(catalog=make_catalog(max_in_flight=1))
    soon = datetime.now(UTC) + timedelta(seconds=660)
    planned = rig.want("planned", run_at=soon)
    rig.pass_time(11 * 60 + 1)
    rig.want("newer", priority=1)
    urgent = rig.want("urgent", priority=2)

    started = order_of(rig, 3)

    assert [urgent.id, planned.id] == started[:2]


def order_of(rig: Rig, rounds: int) -> list[str]:
    """Free one slot after the other: which videos are admitted, in order."""
    seen = len(rig.rings)
    order(rig, rounds)
    return [video_id for _, video_id in rig.rings[seen:]]


@pytest.mark.scale
@pytest.mark.timeout(600)
def test_100_000_videos_for_later_delay_nobody(make_rig: MakeRig) -> None:
    """Ann has planned them for tomorrow, all before anybody else came: they are in nobody's way,
    and not looked at one by one.
    """
    rig = make_rig(catalog=make_catalog(max_in_flight=1))
    rig.want("first", user="ann", run_at=datetime.now(UTC) + timedelta(days=1))
    crowd(rig, 100_000, "ann")
    now, bobs = rig.want("now", user="ann"), rig.want("mine", user="bob")

    users = order(rig, 3)

    assert ["ann", "bob"] == users
    assert [now.id, bobs.id] == [video_id for _, video_id in rig.rings]


def test_newcomer_is_next_when_all_plans_of_another_user_come_due(make_rig: MakeRig) -> None:
    """At midnight thousands of ann's start and one of bob's, who planned his last."""
    rig = make_rig(catalog=make_catalog(max_in_flight=2))
    midnight = datetime.now(UTC) + timedelta(hours=1)
    rig.want("first", user="ann", run_at=midnight)
    crowd(rig, 5000, "ann")
    bobs = rig.want("mine", user="bob", run_at=midnight + timedelta(seconds=1))
    rig.pass_time(3602)

    dispatch.sweep(rig.ctx)

    assert ("create", bobs.id) in rig.rings
    assert 2 == len(rig.rings)


def test_cap_of_a_user_holds_when_sweeps_race(make_rig: MakeRig) -> None:
    """Eight sweeps at the same moment: three of ann's, who may have three, and all of bob's."""
    rig = make_rig(catalog=make_catalog(max_in_flight=20))
    rig.want_many(20, user="ann")
    rig.want_many(5, user="bob")
    with rig.ctx.database.transaction() as connection:
        quotas.change(connection, "ann", {"max_in_flight": 3})

    race(*[lambda: dispatch.sweep(rig.ctx)] * 8)

    assert (17, 0) == (waiting(rig, "ann"), waiting(rig, "bob"))


def test_cap_of_the_provider_holds_when_many_admit_submit_and_finish(make_rig: MakeRig) -> None:
    """Eight workers admit, submit and finish as fast as they can: never are more than four slots
    taken.
    """
    rig = make_rig(catalog=make_catalog(max_in_flight=4), db_pool_size=20)
    rig.want_many(40)
    taken: list[int] = []

    def work() -> None:
        for _ in range(6):
            dispatch.sweep(rig.ctx)
            taken.append(slots_taken(rig))
            for video_id in [name for task, name in rig.rings if task == "create"]:
                submit.submit(rig.ctx, video_id)
            taken.append(slots_taken(rig))
            running = rig.sql("select array_agg(id) from videos where step = 'poll'") or []
            for video_id in running[:2]:
                rig.upstream.becomes(rig.upstream_id(rig.video(video_id)), "failed")
                rig.look(rig.video(video_id))

    assert [None] * 8 == race(*[work] * 8)
    assert 4 == max(taken)
    assert rig.upstream.count("create") == len(
        {request.prompt for request in rig.upstream.requests}
    )


def slots_taken(rig: Rig) -> int:
    """Open attempts and fresh admissions, at one moment."""
    return int(
        rig.sql(
            "select (select count(*) from attempts where ended_at is null) + (select count(*) "
            "from videos v where v.status = 'queued' and v.admitted_at is not null and not exists "
            "(select 1 from attempts a where a.video_id = v.id and a.ended_at is null))"
        )
    )
