"""A database of the oldest schema becomes one of today's with everything that was in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions

from orchestrator import endings, invariants
from orchestrator.db.engine import Database
from orchestrator.db.schema import VERSION, migrate, version
from orchestrator.lifecycle import Status
from orchestrator.records import Caller
from orchestrator.steps import submit
from tests.factories import make_context
from tests.rig import Rig

OLDEST = Path(__file__).with_name("schema_1.sql")
COLUMNS = (
    "select table_name, string_agg(quote_ident(column_name), ', ' order by ordinal_position) "
    "from information_schema.columns where table_schema = 'public' group by 1 order by 1"
)
DEMANDING = (
    "select table_name || '.' || column_name from information_schema.columns "
    "where table_schema = 'public' and is_nullable = 'NO' and column_default is null "
    "and is_identity = 'NO' order by 1"
)


@pytest.fixture
def old(bare_database_url: str) -> Iterator[extensions.connection]:
    """A database as the oldest release left it, with nothing in it yet."""
    with closing(psycopg2.connect(bare_database_url)) as connection:
        connection.autocommit = True
        ask(connection, OLDEST.read_text())
        yield connection


def ask(connection: extensions.connection, statement: str) -> list[Any]:
    """What it answers, if anything."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def upgraded(url: str) -> None:
    """Do what `orchestrator migrate` does."""
    with closing(Database(url)) as database:
        migrate(database)


def contents(connection: extensions.connection, columns: dict[str, str]) -> dict[str, str]:
    """All rows, of these columns, as text."""
    return {table: rows(connection, table, names) for table, names in columns.items()}


def rows(connection: extensions.connection, table: str, names: str) -> str:
    """The rows of a table in an order of their own."""
    text = io.StringIO()
    with connection.cursor() as cursor:
        query = f"copy (select {names} from {table} t order by t::text) to stdout"  # noqa: S608
        cursor.copy_expert(query, text)
    return text.getvalue()


def fill(old: extensions.connection, url: str) -> dict[str, str]:
    """Copy the rows of another database, as far as the old schema knows of them. The columns."""
    columns = {table: names for table, names in ask(old, COLUMNS) if table != "schema_version"}
    with closing(psycopg2.connect(url)) as source, old.cursor() as cursor:
        ask(old, "set session_replication_role = replica")
        for table, text in contents(source, columns).items():
            cursor.copy_expert(f"copy {table} ({columns[table]}) from stdin", io.StringIO(text))
    ask(
        old,
        "select setval(pg_get_serial_sequence('video_events', 'id'), max(id)) from video_events",
    )
    return columns


def test_nothing_is_lost_when_the_oldest_database_is_upgraded(
    rig: Rig, old: extensions.connection, database_url: str, bare_database_url: str
) -> None:
    """What was finished is still there, and what was under way is brought to its end."""
    done, running = rig.generated("a finished kite"), rig.generated("a kite in the making")
    rig.store(done)
    waiting, unwanted = rig.want("a waiting kite"), rig.want("an unwanted kite")
    endings.cancel(rig.ctx, Caller("ann"), unwanted.id)
    columns = fill(old, database_url)
    before = contents(old, columns)

    upgraded(bare_database_url)

    assert before == contents(old, columns)
    settings = replace(rig.ctx.settings, database_url=bare_database_url)
    with closing(make_context(settings, open_client=rig.upstream.open)) as ctx:
        after = Rig(replace(ctx, storage=rig.ctx.storage), rig.upstream)
        after.store(running)
        submit.submit(after.ctx, waiting.id)
        after.upstream.becomes(after.upstream_id(waiting), "completed")
        after.look(waiting)
        after.store(waiting)
        statuses = [after.video(video).status for video in (done, running, waiting, unwanted)]
        broken = invariants.check(after.ctx, settled=True, read=True)
    assert [Status.COMPLETED] * 3 + [Status.CANCELLED] == statuses
    assert [] == broken


def test_upgraded_database_has_all_that_a_new_one_has(
    old: extensions.connection, database_url: str, bare_database_url: str
) -> None:
    """Columns in their order, constraints, indexes; of old indexes some may be left."""
    looks = {
        "columns": "select table_name, ordinal_position, column_name, data_type, is_nullable, "
        "column_default from information_schema.columns where table_schema = 'public'",
        "constraints": "select conname, pg_get_constraintdef(oid) from pg_constraint "
        "where connamespace = 'public'::regnamespace",
        "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    }
    with closing(psycopg2.connect(database_url)) as new:
        wanted = {name: set(ask(new, look)) for name, look in looks.items()}

    upgraded(bare_database_url)

    for name, look in looks.items():
        assert set() == wanted[name] - set(ask(old, look)), name
    with closing(Database(bare_database_url)) as database:
        assert version(database) == VERSION


def test_release_before_may_write_when_the_database_is_upgraded(
    old: extensions.connection, bare_database_url: str
) -> None:
    """Its inserts name no new column, so none may demand a value; and no old one has gone."""
    columns = dict(ask(old, COLUMNS))
    demanded = ask(old, DEMANDING)

    upgraded(bare_database_url)

    now = dict(ask(old, COLUMNS))
    assert all(now[table].startswith(names) for table, names in columns.items())
    new = {column for (column,) in set(ask(old, DEMANDING)) - set(demanded)}
    assert set() == {column for column in new if column.split(".")[0] in columns}
