"""The one writer of a status: compare-and-set, events without gaps, a quota settled once."""

from decimal import Decimal

import pytest

from orchestrator.db import transitions
from orchestrator.db.transitions import After
from orchestrator.errors import DependencyDown
from orchestrator.lifecycle import (
    ACCEPT,
    CANCEL,
    COMPLETE,
    DELETE,
    FAIL,
    TRANSITIONS,
    EventType,
    QuotaState,
    Status,
)
from tests.core import accept, opened, quota, race, row, sql, submit, types_of

STORED = {"completed_at": After(0), "content_key": "k", "progress": 100}
EXTRA = {
    ACCEPT: {"step": "poll", "due_at": After(0)},
    COMPLETE: STORED,
    FAIL: {"error_code": "lost"},
    CANCEL: {},
    DELETE: {"deleted_at": After(0)},
}
WAY = {
    Status.QUEUED: (),
    Status.IN_PROGRESS: (ACCEPT,),
    Status.COMPLETED: (ACCEPT, COMPLETE),
    Status.FAILED: (FAIL,),
    Status.CANCELLED: (CANCEL,),
    Status.DELETED: (CANCEL, DELETE),
}


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def move(ctx, video_id, by, **options):
    """One transition in a transaction of its own."""
    with ctx.database.transaction() as connection:
        return transitions.transition(connection, video_id, by, **{"values": EXTRA[by], **options})


def in_status(ctx, status):
    """A video that has come to this status."""
    video = submit(ctx)
    for by in WAY[status]:
        assert move(ctx, video.id, by) is not None
    return row(ctx, video.id)


def events(ctx, video_id):
    """(seq, type, data) of a video's history in the order of their ids."""
    found = sql(
        ctx,
        "select seq, event_type, event_data from video_events where video_id = :id order by id",
        id=video_id,
    )
    return [(seq, kind, data) for seq, kind, data in found]


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("by", TRANSITIONS, ids=lambda by: by.name)
def test_transition_happens_exactly_when_the_table_allows_it(ctx, status, by):
    """Allowed: the new status; else: nothing changes and nothing is told."""
    before = in_status(ctx, status)

    moved = move(ctx, before.id, by)

    if status in by.sources:
        assert moved == row(ctx, before.id)
        assert (by.target, before.seq + len(by.events)) == (moved.status, moved.seq)
    else:
        assert moved is None
        assert before == row(ctx, before.id)


def test_transition_finds_nothing_when_the_video_does_not_exist(ctx):
    """No row, no change."""
    assert move(ctx, "video_" + "0" * 32, CANCEL) is None


def test_transition_tells_of_itself_in_the_same_transaction(ctx):
    """From and to, then the event of the end with its data; numbers go on without a gap."""
    video = submit(ctx)

    move(ctx, video.id, FAIL, data={"code": "lost", "cost": Decimal("0.1")})

    assert [
        (1, "created"),
        (2, "status_changed"),
        (3, "failed"),
    ] == [event[:2] for event in events(ctx, video.id)]
    assert {"from": "queued", "to": "failed"} == events(ctx, video.id)[1][2]
    assert {"code": "lost", "cost": "0.1"} == events(ctx, video.id)[2][2]


def test_transition_leaves_nothing_when_its_transaction_fails(ctx):
    """Status, events and quota stand or fall together."""
    before = submit(ctx)

    def cancel_and_fail():
        with ctx.database.transaction() as connection:
            transitions.transition(connection, before.id, CANCEL, settle=QuotaState.RELEASED)
            raise DependencyDown

    with pytest.raises(DependencyDown):
        cancel_and_fail()

    assert before == row(ctx, before.id)
    assert 1 == len(events(ctx, before.id))
    assert 1 == quota(ctx).videos_created


@pytest.mark.parametrize("by", [FAIL, CANCEL])
def test_end_clears_what_only_live_videos_have(ctx, by):
    """No step, due time, lease, ring, hold or failure outlives the end."""
    video = submit(ctx)
    sql(
        ctx,
        "update videos set lease_token = 't', lease_until = now(), hold_reason = 'h', "
        "failures = 3, missing_since = now(), rung_at = now() where id = :id",
        id=video.id,
    )

    ended = move(ctx, video.id, by)

    cleared = ("step", "due_at", "lease_token", "lease_until", "rung_at", "hold_reason")
    assert [None] * 6 == [getattr(ended, name) for name in cleared]
    assert (0, None) == (ended.failures, ended.missing_since)
    assert ended.finished_at is not None
    assert ended.completed_at is None


def test_deletion_keeps_the_moment_of_the_end(ctx):
    """A deleted video remembers when it was finished and completed."""
    completed = in_status(ctx, Status.COMPLETED)
    sql(
        ctx,
        "update videos set finished_at = now() - interval '1 day', "
        "completed_at = now() - interval '1 day' where id = :id",
        id=completed.id,
    )
    before = row(ctx, completed.id)

    deleted = move(ctx, completed.id, DELETE)

    assert (before.finished_at, before.completed_at) == (deleted.finished_at, deleted.completed_at)
    assert deleted.deleted_at > before.finished_at


def test_guard_stops_a_transition_when_it_does_not_hold(ctx):
    """A worker whose lease went to somebody else changes nothing."""
    video = submit(ctx)

    stopped = move(ctx, video.id, CANCEL, guard="v.lease_token = :token", params={"token": "other"})

    assert stopped is None
    assert video == row(ctx, video.id)


@pytest.mark.parametrize("name", ["status", "seq", "id", "nonsense"])
def test_columns_that_the_transition_owns_cannot_be_set(ctx, name):
    """Nobody writes a status as a side effect of something else."""
    video = submit(ctx)

    with pytest.raises(KeyError):
        move(ctx, video.id, CANCEL, values={name: "x"})


def test_time_to_come_is_counted_by_the_clock_of_the_database(ctx):
    """`After` is added to the server's now, whatever this machine's clock says."""
    video = submit(ctx)

    moved = move(ctx, video.id, ACCEPT, values={"step": "poll", "due_at": After(90)})

    ((seconds,),) = sql(
        ctx,
        "select extract(epoch from due_at - updated_at) from videos where id = :id",
        id=video.id,
    )
    assert moved.due_at is not None
    assert 90 == seconds


@pytest.mark.parametrize(
    ("settle", "left"), [(QuotaState.RELEASED, 0), (QuotaState.KEPT, 1), (None, 1)]
)
def test_end_settles_the_reservation(ctx, settle, left):
    """Released gives the place back, kept holds it, and without a word it stays reserved."""
    video = submit(ctx)

    ended = move(ctx, video.id, CANCEL, settle=settle)

    assert (settle or QuotaState.RESERVED) == ended.quota_state
    assert left == quota(ctx).videos_created


def test_settling_replaces_the_estimate_by_the_charge(ctx):
    """What counts in the end is what the provider charged."""
    video = submit(ctx)
    accept(ctx, video.id)
    sql(ctx, "update videos set cost_actual = 0.15 where id = :id", id=video.id)

    assert Decimal("0.2000") == quota(ctx).cost_used
    move(ctx, video.id, COMPLETE, settle=QuotaState.KEPT)

    assert Decimal("0.1500") == quota(ctx).cost_used


def test_settled_reservation_is_not_settled_again(ctx):
    """A deletion after the end gives nothing back."""
    video = submit(ctx)
    move(ctx, video.id, CANCEL, settle=QuotaState.KEPT)

    deleted = move(ctx, video.id, DELETE, settle=QuotaState.RELEASED)

    assert QuotaState.KEPT == deleted.quota_state
    assert 1 == quota(ctx).videos_created


def test_settled_reservation_is_not_settled_again_when_moved_with_others(ctx):
    """Of several that end together, only what still stands is given back."""
    settled, standing = submit(ctx), submit(ctx)
    sql(ctx, "update videos set quota_state = 'kept' where id = :id", id=settled.id)

    with ctx.database.transaction() as connection:
        movers = [transitions.Mover(video.id) for video in (settled, standing)]
        moved = transitions.transition_all(connection, movers, CANCEL, settle=QuotaState.RELEASED)

    assert {settled.id: QuotaState.KEPT, standing.id: QuotaState.RELEASED} == {
        video.id: video.quota_state for video in moved
    }
    assert (1, Decimal("0.20")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_one_finaliser_wins_when_three_race(ctx):
    """Poller, sweep and user at once: one status, two events, one release, every time."""
    for _ in range(8):
        video = submit(ctx)
        accept(ctx, video.id)

        outcomes = race(
            lambda video=video: move(ctx, video.id, COMPLETE, settle=QuotaState.KEPT),
            lambda video=video: move(ctx, video.id, FAIL, settle=QuotaState.RELEASED),
            lambda video=video: move(ctx, video.id, CANCEL, settle=QuotaState.RELEASED),
        )

        assert {"NoneType": 2, "Video": 1} == types_of(outcomes)
        (winner,) = [outcome for outcome in outcomes if outcome is not None]
        assert winner == row(ctx, video.id)
        assert [1, 2, 3, 4] == [event[0] for event in events(ctx, video.id)]
    kept = sql(ctx, "select count(*) from videos where quota_state = 'kept'")[0][0]
    assert kept == quota(ctx).videos_created


def test_same_finaliser_wins_once_when_repeated_at_once(ctx):
    """Ten late messages about one end are one end."""
    video = submit(ctx)

    outcomes = race(
        *[lambda: move(ctx, video.id, FAIL, settle=QuotaState.RELEASED) for _ in range(10)]
    )

    assert {"NoneType": 9, "Video": 1} == types_of(outcomes)
    assert 0 == quota(ctx).videos_created


def test_numbers_have_no_gap_when_many_write_events_at_once(ctx):
    """Twenty writers of one video: each number once, in the order of the ids."""
    video = submit(ctx)

    def tell():
        with ctx.database.transaction() as connection:
            return transitions.record(connection, video.id, EventType.PROGRESS)

    outcomes = race(*[tell for _ in range(20)])

    assert {"Video": 20} == types_of(outcomes)
    assert list(range(1, 22)) == [event[0] for event in events(ctx, video.id)]
    assert 21 == row(ctx, video.id).seq


def test_record_changes_and_tells_at_once(ctx):
    """A change without a new status has an event, too, and moves `updated_at`."""
    before = submit(ctx)

    with ctx.database.transaction() as connection:
        changed = transitions.record(
            connection,
            before.id,
            EventType.HELD,
            values={"hold_reason": "outcome_unknown"},
            data={"reason": "outcome_unknown"},
        )

    assert ("outcome_unknown", before.seq + 1) == (changed.hold_reason, changed.seq)
    assert changed.updated_at > before.updated_at
    assert (2, "held", {"reason": "outcome_unknown"}) == events(ctx, before.id)[-1]


def test_record_tells_nothing_when_its_guard_does_not_hold(ctx):
    """No change, no event, no number."""
    before = submit(ctx)

    with ctx.database.transaction() as connection:
        changed = transitions.record(
            connection, before.id, EventType.HELD, guard="v.status = 'failed'"
        )

    assert changed is None
    assert before == row(ctx, before.id)
    assert 1 == len(events(ctx, before.id))


@pytest.mark.parametrize(("kept", "state", "left"), [(True, "kept", 1), (False, "released", 0)])
def test_charge_settles_a_reservation_that_waited_for_it(ctx, kept, state, left):
    """Cancelled after acceptance: the count stands until the provider is done."""
    video = submit(ctx)
    accept(ctx, video.id)
    cancelled = move(ctx, video.id, CANCEL)

    with ctx.database.transaction() as connection:
        charged = transitions.charge(connection, cancelled, cost=Decimal("0.1"), kept=kept)

    assert (state, Decimal("0.1000")) == (charged.quota_state, charged.cost_actual)
    assert (left, Decimal("0.1000")) == (quota(ctx).videos_created, quota(ctx).cost_used)
    assert ("charged", {"cost": "0.1", "quota_state": state}) == events(ctx, video.id)[-1][1:]


def test_charge_is_booked_when_all_was_settled(ctx):
    """A late success of a released video costs what it costs, and nothing else changes."""
    video = submit(ctx)
    released = move(ctx, video.id, CANCEL, settle=QuotaState.RELEASED)

    with ctx.database.transaction() as connection:
        charged = transitions.charge(connection, released, cost=Decimal("0.1"), kept=True)

    assert ("released", Decimal("0.1000")) == (charged.quota_state, charged.cost_actual)
    assert (0, Decimal("0.1000")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_charge_of_nothing_is_not_told(ctx):
    """Nothing to book, nothing to settle: no event."""
    video = submit(ctx)
    released = move(ctx, video.id, CANCEL, settle=QuotaState.RELEASED)

    with ctx.database.transaction() as connection:
        assert transitions.charge(connection, released, cost=Decimal(0), kept=False) is None

    assert released == row(ctx, video.id)


def test_charge_stays_in_the_reservation_while_the_video_lives(ctx):
    """A live video's quota holds its estimate until its end; the charge is only noted."""
    video = submit(ctx)

    with ctx.database.transaction() as connection:
        charged = transitions.charge(connection, video, cost=Decimal("0.1"), kept=False)

    assert ("reserved", Decimal("0.1000")) == (charged.quota_state, charged.cost_actual)
    assert (1, Decimal("0.2000")) == (quota(ctx).videos_created, quota(ctx).cost_used)
