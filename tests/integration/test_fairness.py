"""The next slot goes to who has least in flight, so a backlog of one delays nobody else."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator import dispatch
from orchestrator.db import quotas
from orchestrator.steps import submit
from tests.rig import Rig, make_catalog

MakeRig = Callable[..., Rig]


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


def test_newcomer_is_next_when_another_user_waits_with_300(make_rig: MakeRig) -> None:
    """The first video of a second user takes the next free slot."""
    rig = make_rig(catalog=make_catalog(max_in_flight=3))
    rig.want_many(300, user="ann")
    dispatch.sweep(rig.ctx)
    bobs = rig.want("mine", user="bob")
    first = rig.rings[0][1]
    submit.submit(rig.ctx, first)
    rig.upstream.becomes("up_1", "failed")
    rig.look(rig.video(first))

    dispatch.sweep(rig.ctx)

    assert ("create", bobs.id) == rig.rings[-1]
    assert 297 == waiting(rig, "ann")


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
