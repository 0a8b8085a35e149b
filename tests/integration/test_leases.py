"""Leases measure the process: held while it lives, over soon after it died."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event, Thread

import pytest
from sqlalchemy import text

from orchestrator.db import attempts, deliveries, health, looks, polling, queue, submitting, videos
from orchestrator.db.engine import Database
from orchestrator.leases import Leases
from tests.core import accept, opened, send, sql, submit
from tests.factories import complete

ACCOUNT = ("default", "sandbox")


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context whose leases last 30 seconds."""
    with opened(database_url, tmp_path, lease_seconds=30) as ctx:
        yield ctx


def claim(ctx, video_id, token):
    """Take a video's submit step with this token, and write its attempt."""
    with ctx.database.transaction() as connection:
        claimed = submitting.claim_submits(connection, [video_id], token=token, lease=30)
        openings = [submitting.Opening(video, None) for video in claimed]
        submitting.open_attempts(connection, openings, token=token, lease=30)
        return claimed[0] if claimed else None


def age(ctx):
    """Let all leases be nearly over."""
    sql(ctx, "update videos set lease_until = now() + interval '1 s' where lease_token is not null")
    sql(ctx, "update attempts set lease_until = now() + interval '1 s'")


def left(ctx, video_id):
    """Seconds left on the leases of a video and its attempt, rounded."""
    rows = sql(
        ctx,
        "select round(extract(epoch from v.lease_until - now())), "
        "round(extract(epoch from a.lease_until - now())) "
        "from videos v join attempts a on a.video_id = v.id where v.id = :id",
        id=video_id,
    )
    return tuple(int(seconds) for seconds in rows[0])


def test_tokens_differ(ctx):
    """Two steps of one process are two holders."""
    with ctx.leases.hold() as one, ctx.leases.hold() as other:
        assert one != other


def test_renewal_prolongs_what_is_held(ctx):
    """The video's lease and its attempt's, and those of no other holder."""
    mine, others = submit(ctx), submit(ctx)
    with ctx.leases.hold() as token:
        claim(ctx, mine.id, token)
        claim(ctx, others.id, "somebody else")
        age(ctx)

        ctx.leases.renew()

        assert (30, 30) == left(ctx, mine.id)
        assert (1, 1) == left(ctx, others.id)


def submitted(ctx, connection):
    """The submit step of a video, and its attempt."""
    (video,) = submitting.claim_submits(connection, [submit(ctx).id], token="mine", lease=1)
    submitting.open_attempts(connection, [submitting.Opening(video, None)], token="mine", lease=1)
    return 2


def polled(ctx, connection):
    """The poll of a named video."""
    video_id = accept(ctx, submit(ctx).id).video_id
    return len(polling.claim(connection, [video_id], "poll", token="mine", lease=1))


def listed(ctx, connection):
    """The polls of an account."""
    accept(ctx, submit(ctx).id)
    return len(polling.claim_due(connection, *ACCOUNT, token="mine", lease=1, limit=9))


def stored(ctx, connection):
    """The store step of a video that has just been found finished."""
    accepted = accept(ctx, submit(ctx).id)
    polling.claim(connection, [accepted.video_id], "poll", token="other", lease=1)
    found = polling.Generated(
        accepted.video_id, accepted.n, "completed", Decimal(1), datetime.now(UTC)
    )
    polling.generated(connection, [found], token="other")
    return len(polling.claim(connection, [accepted.video_id], "store", token="mine", lease=1))


def looked_for(ctx, connection):
    """An attempt of unknown outcome."""
    sent = send(ctx, submit(ctx).id)
    attempts.unknown(connection, sent.video_id, sent.n, grace=0, error=None, http_status=None)
    return len(looks.claim_due(connection, *ACCOUNT, ("unknown",), token="mine", lease=1, limit=9))


def delivered(ctx, connection):
    """A message to a receiver."""
    complete(ctx, submit(ctx, webhook_url="http://127.0.0.1:1/hook").id)
    (target,) = connection.scalars(text("select target from deliveries"))
    claimed = deliveries.claim(connection, target, token="mine", lease=1, at_once=9, of_user=9)
    return 0 if claimed is None else 1


@pytest.mark.parametrize("claim", [submitted, polled, listed, stored, looked_for, delivered])
def test_whatever_is_claimed_can_be_renewed(ctx, claim):
    """Leases have no index of their own: what is claimed lies where renewal looks for it."""
    with ctx.database.transaction() as connection:
        claimed = claim(ctx, connection)

        renewed = queue.renew(connection, ["mine"], seconds=30)

    assert claimed > 0
    assert claimed == renewed


def test_lease_runs_out_when_its_block_has_ended(ctx):
    """What was not recorded is taken over by somebody else soon."""
    video = submit(ctx)
    with ctx.leases.hold() as token:
        claim(ctx, video.id, token)
    age(ctx)

    ctx.leases.renew()

    assert (1, 1) == left(ctx, video.id)


def test_lease_runs_out_when_its_block_has_failed(ctx):
    """An accident lets go as well."""

    def fail():
        with ctx.leases.hold() as token:
            claim(ctx, video.id, token)
            raise RuntimeError

    video = submit(ctx)
    with pytest.raises(RuntimeError):
        fail()
    age(ctx)

    ctx.leases.renew()

    assert (1, 1) == left(ctx, video.id)


def test_beat_renews_by_itself(ctx):
    """Nobody has to think of it: a lease outlives its own duration while it is held."""
    renewed = Event()

    class Watched(Leases):
        def renew(self):
            super().renew()
            renewed.set()

    leases = Watched(ctx.database, 0.3)
    with leases.hold() as token:
        video = submit(ctx)
        claim(ctx, video.id, token)
        age(ctx)

        assert renewed.wait(10)
        renewed.clear()
        assert renewed.wait(10)

        (seconds, _) = left(ctx, video.id)
        assert 0 == seconds
    leases.close()


def test_beat_comes_before_a_lease_runs_out(ctx):
    """Twice, so that one beat may fail."""
    began, beats = time.monotonic(), []
    twice = Event()

    class Watched(Leases):
        def renew(self):
            beats.append(time.monotonic() - began)
            if len(beats) == 2:
                twice.set()

    leases = Watched(ctx.database, 3)
    with leases.hold():
        assert twice.wait(10)
    leases.close()

    assert beats[1] < 3


def test_held_step_is_taken_by_nobody_else(ctx):
    """A second message about the same video finds nothing to do."""
    video = submit(ctx)

    assert claim(ctx, video.id, "one") is not None
    assert claim(ctx, video.id, "other") is None


def test_store_step_is_late_since_its_video_was_found_finished(ctx):
    """It keeps the due time of the look, however late that was; another one's look is later."""
    found, other = accept(ctx, submit(ctx).id), accept(ctx, submit(ctx).id)
    sql(ctx, "update videos set due_at = now() - interval '10 min'")
    sql(
        ctx, "update videos set due_at = now() - interval '5 min' where id = :id", id=other.video_id
    )
    done = polling.Generated(found.video_id, found.n, "completed", Decimal(1), datetime.now(UTC))

    with ctx.database.transaction() as connection:
        polling.claim(connection, [found.video_id], "poll", token="t", lease=30)
        polling.generated(connection, [done], token="t")
        overdue = health.overdue(connection)

    assert overdue is not None
    assert ("poll", 300) == (overdue.step, round(overdue.seconds))


def updated(connection):
    """How often this connection has changed rows of `videos` since it last reported that, which is
    never within a transaction, and how many of these changes left all indexes alone.
    """
    query = (
        "select pg_stat_get_xact_tuples_updated(t.oid), pg_stat_get_xact_tuples_hot_updated(t.oid) "
        "from (select cast(cast('videos' as regclass) as oid) as oid) t"
    )
    return connection.execute(text(query)).one()


def since(connection, before):
    """As `updated`, since then."""
    return tuple(now - then for now, then in zip(updated(connection), before, strict=True))


def test_claim_leaves_indexes_alone_when_a_video_is_submitted(ctx):
    """A lease costs a new version of the row, not an entry in each of its indexes."""
    video = submit(ctx)

    with ctx.database.transaction() as connection:
        before = updated(connection)
        submitting.claim_submits(connection, [video.id], token="t", lease=30)

        assert (1, 1) == since(connection, before)


def test_claims_and_the_end_of_work_leave_indexes_alone(ctx):
    """From acceptance to completion nothing changes that an index names."""
    video = submit(ctx)
    n = accept(ctx, video.id).n
    done = polling.Generated(video.id, n, "completed", Decimal(1), datetime.now(UTC))

    with ctx.database.transaction() as connection:
        before = updated(connection)
        polling.claim(connection, [video.id], "poll", token="t", lease=30)
        polling.generated(connection, [done], token="t")
        polling.claim(connection, [video.id], "store", token="u", lease=30)

        assert (3, 3) == since(connection, before)


def test_renewal_that_finds_no_database_is_no_accident(ctx):
    """The next beat comes before the leases run out."""
    away = Leases(Database("postgresql://postgres@127.0.0.1:1/x"), 30)
    with away.hold():
        away.renew()
    away.close()


def test_renewal_without_leases_asks_nobody():
    """An idle process costs the database nothing."""
    Leases(Database("postgresql://postgres@127.0.0.1:1/x"), 30).renew()


@pytest.mark.parametrize(
    "write",
    [
        lambda c, ids: queue.renew(c, ["token"], seconds=30),
        lambda c, ids: polling.snooze(c, ids, token="token", due_in=5),
    ],
    ids=["renew", "snooze"],
)
def test_writers_of_many_rows_do_not_wait_crosswise(ctx, write):
    """Rows are locked in the order of their ids, wherever they lie in the table."""
    ids = sorted(submit(ctx).id for _ in range(2))
    for video_id in reversed(ids):
        claim(ctx, video_id, "token")

    def written():
        with ctx.database.transaction() as connection:
            write(connection, ids)

    writer = Thread(target=written)
    with ctx.database.transaction() as connection:
        videos.lock(connection, ids[0])
        writer.start()
        wait_for_a_waiter(ctx)

        assert videos.lock(connection, ids[1]) is not None

    writer.join(30)
    assert not writer.is_alive()


def wait_for_a_waiter(ctx):
    """Until some connection waits for a row."""
    deadline = time.monotonic() + 10
    query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    while sql(ctx, query)[0][0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)


def test_closed_leases_stop_their_thread(ctx):
    """No thread outlives the process's work."""
    leases = Leases(ctx.database, 30)
    with leases.hold():
        thread = leases._thread
    leases.close()

    assert thread is not None
    assert not thread.is_alive()


def test_context_closes_its_leases(ctx):
    """Whoever closes the context has nothing else to stop."""
    other = replace(ctx, leases=Leases(ctx.database, 30))
    with other.leases.hold():
        thread = other.leases._thread
    other.close()

    assert not thread.is_alive()


def test_lease_stays_lost_when_its_process_stood_still_for_too_long(ctx):
    """Renewing it afterwards does not bring it back: somebody else may have taken over."""
    now = [0.0]
    leases = Leases(ctx.database, 30, clock=lambda: now[0])
    with leases.hold() as token, leases.hold() as later:
        now[0] = 29
        leases.renew()
        now[0] = 58
        in_time = leases.alive(token)
        now[0] = 60
        too_late = leases.alive(token)
        leases.renew()

        assert (True, False) == (in_time, too_late)
        assert (False, False) == (leases.alive(token), leases.alive(later))
    assert not leases.alive(token)
    leases.close()
