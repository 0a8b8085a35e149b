"""Statements that are planned once by each connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url

from orchestrator.db import prepared
from orchestrator.db.prepared import DIRECT, PLAN_SECONDS, often

PREPARED = text("select count(*) from pg_prepared_statements")
SUM = often(text("select cast(:a as int) + :b + :a, 'at 100%'"))
MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(database_url: str) -> Iterator[MakeEngine]:
    """Makes engines of one connection, whose sessions begin with these options."""
    engines = []

    def make(options: str, clock: Callable[[], float] = monotonic) -> Engine:
        url = make_url(database_url).set(drivername="postgresql+psycopg2")
        engine = create_engine(url, pool_size=1, connect_args={"options": options})
        prepared.install(engine, clock=clock)
        engines.append(engine)
        return engine

    yield make

    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    """One whose sessions are its own."""
    return make_engine(f"-c {DIRECT}=on")


def summed(connection: Connection, a: int, b: int) -> tuple[int, str]:
    """What the statement makes of these."""
    row = connection.execute(SUM, {"a": a, "b": b}).one()
    return row[0], row[1]


def test_statement_is_planned_once_when_it_is_asked_often(engine: Engine) -> None:
    """Whatever its parameters are, and however often one of them stands in it."""
    with engine.connect() as connection:
        found = [summed(connection, n, 1) for n in range(3)]

        assert [(1, "at 100%"), (3, "at 100%"), (5, "at 100%")] == found
        assert 1 == connection.scalar(PREPARED)


def test_statement_needs_no_parameters(engine: Engine) -> None:
    """Then there is nothing between parentheses."""
    statement = often(text("select 7"))

    with engine.connect() as connection:
        assert [7, 7] == [connection.scalar(statement) for _ in range(2)]


def test_other_statements_are_sent_as_they_are(engine: Engine) -> None:
    """Only what is asked for often is worth a place in the memory of each connection."""
    with engine.connect() as connection:
        connection.execute(text("select cast(:a as int)"), {"a": 1})

        assert 0 == connection.scalar(PREPARED)


def test_plan_outlives_the_transaction_that_made_it(engine: Engine) -> None:
    """Also one that is rolled back."""
    with engine.connect() as connection:
        summed(connection, 1, 1)
        connection.rollback()

        assert (4, "at 100%") == summed(connection, 1, 2)


def test_new_connection_plans_anew(engine: Engine) -> None:
    """What another one has prepared is of no use to it."""
    with engine.connect() as connection:
        summed(connection, 1, 1)
        connection.invalidate()

    with engine.connect() as connection:
        assert (4, "at 100%") == summed(connection, 1, 2)


def test_changed_rows_are_counted(engine: Engine) -> None:
    """A prepared change tells as much of what it did as a plain one."""
    statement = often(text("update t set n = n + :by where n < :below returning n"))

    with engine.connect() as connection:
        connection.execute(text("create temporary table t as select generate_series(1, 5) as n"))
        result = connection.execute(statement, {"by": 10, "below": 4})

        assert (3, [11, 12, 13]) == (result.rowcount, sorted(result.scalars()))


def test_column_may_be_added_while_it_is_prepared(engine: Engine) -> None:
    """An upgrade of the schema disturbs nobody who is connected."""
    statement = often(text("select n from t where n = :n"))
    with engine.connect() as connection:
        connection.execute(text("create temporary table t as select 5 as n"))
        connection.scalar(statement, {"n": 5})

        connection.execute(text("alter table t add column m int"))

        assert 5 == connection.scalar(statement, {"n": 5})


def test_plan_is_made_anew_when_it_is_old(make_engine: MakeEngine) -> None:
    """One for an empty table reads all of what was written since, until then."""
    now = [100.0]
    engine = make_engine(f"-c {DIRECT}=on -c plan_cache_mode=force_generic_plan", lambda: now[0])
    statement = often(text("select true from t where n = :n"))

    def plan() -> str:
        connection.scalar(statement, {"n": 5})
        name = connection.scalar(text("select name from pg_prepared_statements"))
        return str(connection.scalar(text(f"explain execute {name}(5)")))

    with engine.connect() as connection:
        connection.execute(text("create temporary table t (n int primary key)"))
        connection.execute(text("analyze t"))
        empty = plan()
        connection.execute(text("insert into t select generate_series(1, 9999)"))
        young = plan()
        now[0] += PLAN_SECONDS + 1
        old = plan()

    assert ["Seq", "Seq", "Index"] == [found.split()[0] for found in (empty, young, old)]


def test_nothing_is_prepared_when_a_pooler_is_between(make_engine: MakeEngine) -> None:
    """It drops what a session begins with, and gives the next transaction another one."""
    engine = make_engine("")

    with engine.connect() as connection:
        assert (3, "at 100%") == summed(connection, 1, 1)
        assert 0 == connection.scalar(PREPARED)
