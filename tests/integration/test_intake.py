"""Wishes of many callers in one transaction: none fails its neighbours, and nobody is told what is
not true.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from orchestrator import intake
from orchestrator.db.engine import Database
from orchestrator.errors import CommitUnknown, DependencyDown, QuotaExceeded
from orchestrator.rings import Ring
from orchestrator.wishes import IdempotencyKey, prepare
from tests.core import caller, make_request, opened, quota, row, sql


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def wish(ctx, user_id="ann", key=None, **columns):
    """A checked submission; `columns` are what checking would not have let through."""
    named = None if key is None else IdempotencyKey(key, "POST /api/videos")
    checked = prepare(ctx, caller(user_id), make_request(), key=named)
    return replace(checked, row={**checked.row, **columns})


@contextmanager
def accepting(ctx, *wishes):
    """Let all of these come while the thread is busy with something else, so that they are one lot;
    gives their futures.
    """
    begun, free = Event(), Event()

    def hold(items):
        begun.set()
        assert free.wait(10)
        return items

    with ThreadPoolExecutor(len(wishes) + 1) as pool:
        pool.submit(ctx.gathering.ask, None, hold)
        assert begun.wait(10)
        futures = [pool.submit(intake.accept, ctx, wish) for wish in wishes]
        while ctx.gathering._tickets.qsize() < len(wishes):
            begun.wait(0.001)
        free.set()
        yield futures


def transactions(ctx):
    """How many different transactions the videos were written in."""
    return sql(ctx, "select count(distinct xmin::text) from videos")[0][0]


def test_wishes_of_one_moment_are_one_transaction(ctx):
    """Ten users' videos, one commit; each is told of its own one."""
    wishes = [wish(ctx, f"user{n}", key="k") for n in range(10)]

    with accepting(ctx, *wishes) as futures:
        outcomes = [future.result() for future in futures]

    assert [w.row["id"] for w in wishes] == [outcome.video.id for outcome in outcomes]
    assert 1 == transactions(ctx)
    assert [Ring("create", tuple(w.row["id"] for w in wishes), "create")] == ctx.broker.rings
    assert all(ctx.cache.get_video(w.row["id"]) for w in wishes)


def test_equal_keys_of_one_moment_are_one_video(ctx):
    """One new, nine replays of what is not committed yet when they are settled."""
    with accepting(ctx, *[wish(ctx, key="k") for _ in range(10)]) as futures:
        outcomes = [future.result() for future in futures]

    assert 9 == sum(outcome.replayed for outcome in outcomes)
    assert 1 == len({outcome.video.id for outcome in outcomes})
    assert 1 == quota(ctx).videos_created


def test_bad_row_fails_alone(ctx):
    """What breaks a rule of the schema takes nobody along."""
    good = [wish(ctx, f"user{n}") for n in range(5)]

    with accepting(ctx, *good[:2], wish(ctx, priority=1000), *good[2:]) as futures:
        errors = [future.exception() for future in futures]

    assert isinstance(errors.pop(2), IntegrityError)
    assert [None] * 5 == errors
    assert 5 == sql(ctx, "select count(*) from videos")[0][0]
    assert 0 == quota(ctx).videos_created


def test_refused_one_disturbs_nobody(ctx):
    """A user without quota is told so; the neighbours' lot stays whole."""
    sql(ctx, "insert into user_quotas (user_id, videos_limit, reset_at) values ('poor', 0, now())")

    with accepting(ctx, wish(ctx), wish(ctx, "poor"), wish(ctx, "bob")) as futures:
        outcomes = [future.result() for future in futures]

    assert isinstance(outcomes[1], QuotaExceeded)
    assert 1 == transactions(ctx)


def test_nobody_waits_long_for_a_lock_that_only_another_one_needs(ctx, database_url):
    """Somebody holds bob's quota for as long as this test likes: ann has her video meanwhile."""
    quota(ctx, "bob")
    other = Database(database_url)

    with ExitStack() as held:
        holder = held.enter_context(other.transaction())
        holder.execute(text("select 1 from user_quotas where user_id = 'bob' for update"))
        with accepting(ctx, wish(ctx, "bob"), wish(ctx)) as (bobs, anns):
            first = anns.result(10).video
            waits = not bobs.done()
            held.close()
            second = bobs.result(10).video

    other.close()
    assert waits
    assert ("ann", "bob") == (row(ctx, first.id).user_id, row(ctx, second.id).user_id)


@contextmanager
def killed_at(ctx, name, when=lambda statement: True):
    """Break the connection of the next transaction that gets there."""
    engine = ctx.database._engine
    left = [1]

    def kill(connection, *rest):
        if left and when(rest[1] if len(rest) > 1 else ""):
            left.pop()
            pid = connection.connection.dbapi_connection.info.backend_pid
            sql(ctx, f"select pg_terminate_backend({pid}, 5000)")

    event.listen(engine, name, kill)
    try:
        yield
    finally:
        event.remove(engine, name, kill)
    assert not left


def test_database_that_goes_away_before_the_commit_has_changed_nothing(ctx):
    """All of the lot are told so at once; asking again works."""
    wishes = [wish(ctx, f"user{n}", key="k") for n in range(3)]

    with (
        killed_at(ctx, "before_cursor_execute", lambda s: "insert into videos" in s),
        accepting(ctx, *wishes) as futures,
    ):
        errors = [future.exception() for future in futures]

    assert [DependencyDown] * 3 == [type(error) for error in errors]
    assert "Nothing was changed" in str(errors[0])
    assert [(0,)] == sql(ctx, "select count(*) from videos")
    assert intake.accept(ctx, wishes[0]).video is not None


def test_database_that_goes_away_in_the_commit_leaves_it_open(ctx):
    """Nobody is told that nothing was changed, and the key makes asking again safe."""
    wishes = [wish(ctx, f"user{n}", key="k") for n in range(3)]

    with killed_at(ctx, "commit"), accepting(ctx, *wishes) as futures:
        errors = [future.exception() for future in futures]

    assert [CommitUnknown] * 3 == [type(error) for error in errors]
    assert intake.accept(ctx, wishes[0]).video is not None
    assert 1 == quota(ctx, "user0").videos_created


def test_what_is_committed_is_accepted_though_telling_fails(ctx):
    """An error after the commit would make the client ask again, and pay twice."""

    class Deaf:
        def tell(self, changes):
            raise RuntimeError("a bug")

        def close(self):
            pass

    ctx = replace(ctx, wakes=Deaf())

    outcome = intake.accept(ctx, wish(ctx))

    assert outcome.video is not None
    assert 1 == quota(ctx).videos_created
