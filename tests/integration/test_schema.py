"""schema.sql: applied as often as one likes, mirrored exactly, and unwilling to hold nonsense."""

import re

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from orchestrator.db import tables
from orchestrator.db.engine import Database
from orchestrator.db.schema import VERSION, migrate, script, version
from orchestrator.errors import ConfigurationError, DependencyDown
from orchestrator.records import Attempt, ProviderState, Quota, Video
from tests.core import race, types_of

VIDEO = {
    "id": "video_" + "0" * 32,
    "user_id": "ann",
    "model": "sora-2",
    "prompt": "a kite",
    "size": "720x1280",
    "seconds": "4",
    "provider": "default",
    "account": "sandbox",
    "step": "submit",
    "fingerprint": "f",
    "quota_period": "2026-11-01T00:00:00Z",
}
NOW = "2026-11-22T12:00:00Z"
ENDED = {"step": None, "finished_at": NOW}
ATTEMPT = {"video_id": VIDEO["id"], "n": 1, "provider": "default", "account": "sandbox"}


@pytest.fixture
def database(database_url):
    """A migrated database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def bare(bare_database_url):
    """A database with nothing in it."""
    database = Database(bare_database_url)
    yield database
    database.close()


def insert(database, table, row):
    """Write one row, however strange."""
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    with database.transaction() as connection:
        connection.execute(text(f"insert into {table} ({names}) values ({places})"), row)  # noqa: S608


def snapshot(database):
    """Everything that the catalogue says about columns, constraints and indexes."""
    queries = {
        "columns": "select table_name, column_name, data_type, is_nullable, column_default "
        "from information_schema.columns where table_schema = 'public' order by 1, 2",
        "constraints": "select conname, pg_get_constraintdef(oid) from pg_constraint "
        "where connamespace = 'public'::regnamespace order by 1, 2",
        "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'public' "
        "order by 1",
        "versions": "select * from schema_version",
        "quotas": "select user_id, videos_limit, created_at from user_quotas order by 1",
    }
    with database.statement() as connection:
        return {name: connection.execute(text(query)).all() for name, query in queries.items()}


def test_migration_makes_every_table(bare):
    """An empty database has all tables afterwards, and says its version."""
    before = version(bare)

    made = migrate(bare)

    with bare.statement() as connection:
        present = set(inspect(connection).get_table_names())
    assert set(tables.metadata.tables) == set(made) == present
    assert (None, VERSION) == (before, version(bare))


def test_migration_changes_nothing_when_repeated(bare):
    """Every release runs it; data and definitions stay as they are."""
    migrate(bare)
    insert(bare, "videos", VIDEO)
    before = snapshot(bare)

    migrate(bare)

    assert before == snapshot(bare)
    with bare.statement() as connection:
        assert 1 == connection.scalar(text("select count(*) from videos"))


def test_script_changes_nothing_when_repeated(bare):
    """A newer release applies it to tables that are there."""
    migrate(bare)
    before = snapshot(bare)

    with bare.transaction() as connection:
        connection.exec_driver_sql(script(), execution_options={"no_parameters": True})

    assert before == snapshot(bare)


def test_migration_waits_for_nobody_when_there_is_nothing_to_do(bare):
    """A process that starts while a backup is written holds up neither itself nor the others."""
    migrate(bare)

    with bare.transaction() as backup:
        backup.execute(text("lock table videos, attempts in access share mode"))
        made = migrate(bare)

    assert "videos" in made


def test_migration_mends_what_has_gone_when_the_version_is_current(bare):
    """The number alone is not believed."""
    migrate(bare)
    with bare.statement() as connection:
        connection.execute(text("drop table deliveries"))

    migrate(bare)

    with bare.statement() as connection:
        assert "deliveries" in inspect(connection).get_table_names()


def test_migration_keeps_changed_quotas(bare):
    """Seeds are for the first time only."""
    migrate(bare)
    with bare.statement() as connection:
        connection.execute(text("update user_quotas set videos_limit = 5 where user_id = 'admin'"))

    migrate(bare)

    with bare.statement() as connection:
        rows = connection.execute(text("select user_id, videos_limit from user_quotas order by 1"))
        assert [("admin", 5), ("anonymous", 10)] == [tuple(row) for row in rows]


def test_migrations_succeed_when_several_run_at_once(bare, bare_database_url):
    """Two releases that start together make one schema, and none of them fails."""
    databases = [Database(bare_database_url) for _ in range(4)]

    outcomes = race(*[lambda database=database: migrate(database) for database in databases])

    assert {"list": 4} == types_of(outcomes)
    with bare.statement() as connection:
        assert VERSION == connection.scalar(text("select count(*) from schema_version"))
    for database in databases:
        database.close()


def test_migration_says_what_is_missing_when_a_table_is_not_ours(bare):
    """A table of the same name with other columns is named, and nothing is left half done."""
    with bare.statement() as connection:
        connection.execute(text("create table providers (name text, account text)"))

    with pytest.raises(ConfigurationError, match=r"providers\.duplicates, providers\.durations"):
        migrate(bare)

    assert version(bare) is None


def test_migration_says_that_nobody_answers_when_the_server_is_away():
    """An operator reads which service is missing, not a traceback."""
    database = Database("postgresql://postgres@127.0.0.1:1/x")

    with pytest.raises(DependencyDown):
        migrate(database)


def test_script_holds_one_whole_schema():
    """The number at the end is the one that the program asks for, and no data is ever dropped."""
    lists = re.findall(r"schema_version \(version\) values ([(), \d]+)", script())
    numbers = [int(number) for listed in lists for number in re.findall(r"\d+", listed)]

    assert list(range(1, VERSION + 1)) == numbers
    gone = r"^\s*(drop (?!index if exists)|truncate|delete|alter .* drop)\b"
    assert not re.search(gone, script(), re.I | re.M)
    assert not re.search(
        r"^create (unique )?(table|index) (?!if not exists)", script(), re.I | re.M
    )


@pytest.mark.parametrize("name", sorted(tables.metadata.tables))
def test_mirror_equals_the_table(database, name):
    """Columns, their order, types, NOT NULL and primary key are the same in both."""
    with database.statement() as connection:
        rows = connection.execute(
            text(
                "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
                "where attrelid = cast(:name as regclass) and attnum > 0 and not attisdropped "
                "order by attnum"
            ),
            {"name": name},
        ).all()
        key = inspect(connection).get_pk_constraint(name)["constrained_columns"]

    mirror = tables.metadata.tables[name]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (column.name, _type(column), not column.nullable) for column in mirror.columns
    ]
    assert key == [column.name for column in mirror.primary_key]


def _type(column):
    """The column's type as PostgreSQL spells it."""
    if column.name == "xid":
        return "xid8"  # SQLAlchemy has no name for it, and no query reads it
    spelt = column.type.compile(dialect=postgresql.dialect()).lower()
    return spelt.replace(", ", ",")


@pytest.mark.parametrize(
    ("record", "table"),
    [
        (Video, tables.videos),
        (Attempt, tables.attempts),
        (Quota, tables.user_quotas),
        (ProviderState, tables.providers),
    ],
)
def test_record_has_the_columns_in_order(record, table):
    """Rows become records by position."""
    assert [column.name for column in table.columns] == list(record.__annotations__)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"status": "done"}, "videos_status_check"),
        ({"progress": 101}, "videos_progress_check"),
        ({"progress": -1}, "videos_progress_check"),
        ({"kind": "copy"}, "videos_kind_check"),
        ({"step": "wait"}, "videos_step_check"),
        ({"priority": 101}, "videos_priority_check"),
        ({"quota_state": "free"}, "videos_quota_state_check"),
        ({"step": None}, "videos_step"),
        ({"finished_at": NOW}, "videos_end"),
        ({"status": "failed", "step": None}, "videos_end"),
        ({"status": "failed", "finished_at": NOW}, "videos_step"),
        ({"status": "failed", **ENDED, "completed_at": NOW}, "videos_completed"),
        ({"status": "completed", **ENDED, "content_key": "k"}, "videos_completed"),
        ({"status": "completed", **ENDED, "completed_at": NOW}, "videos_bytes"),
        ({"status": "deleted", **ENDED}, "videos_deleted"),
        ({"deleted_at": NOW}, "videos_deleted"),
        ({"lease_token": "t"}, "videos_lease"),
        ({"lease_until": NOW}, "videos_lease"),
    ],
)
def test_video_is_refused_when_it_makes_no_sense(database, change, constraint):
    """A status and its times can never say two things."""
    with pytest.raises(IntegrityError) as caught:
        insert(database, "videos", {**VIDEO, **change})

    assert constraint == caught.value.orig.diag.constraint_name


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "in_progress", "step": "store", "lease_token": "t", "lease_until": NOW},
        {"status": "completed", **ENDED, "completed_at": NOW, "content_key": "k"},
        {"status": "completed", **ENDED, "completed_at": NOW, "purged_at": NOW},
        {"status": "failed", **ENDED},
        {"status": "deleted", **ENDED, "deleted_at": NOW, "completed_at": NOW},
        {"status": "deleted", **ENDED, "deleted_at": NOW},
    ],
)
def test_video_is_kept_when_it_makes_sense(database, change):
    """The constraints refuse nothing that happens in a video's life."""
    insert(database, "videos", {**VIDEO, **change})


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"n": 0}, "attempts_n_check"),
        ({"state": "lost"}, "attempts_state_check"),
        ({"state": "accepted"}, "attempts_accepted"),
        ({"state": "rejected"}, "attempts_over"),
        ({"state": "abandoned"}, "attempts_over"),
        ({"state": "sent", "ended_at": NOW}, "attempts_open"),
        ({"state": "unknown", "ended_at": NOW}, "attempts_open"),
        ({"provider_video_id": "x" * 501}, "attempts_provider_video_id_check"),
        ({"video_id": "video_" + "9" * 32}, "attempts_video_id_fkey"),
    ],
)
def test_attempt_is_refused_when_it_makes_no_sense(database, change, constraint):
    """An attempt's state says whether it holds a slot."""
    insert(database, "videos", VIDEO)

    with pytest.raises(IntegrityError) as caught:
        insert(database, "attempts", {**ATTEMPT, **change})

    assert constraint == caught.value.orig.diag.constraint_name


@pytest.mark.parametrize(
    ("second", "constraint"),
    [
        ({}, "attempts_one_live"),
        ({"detached": True, "n": 1}, "attempts_pkey"),
        ({"detached": True, "lane": "l"}, "attempts_lane"),
        (
            {"detached": True, "state": "accepted", "canonical_id": "up_1"},
            "attempts_provider_video",
        ),
    ],
)
def test_second_attempt_is_refused_when_it_stands_in_the_way(database, second, constraint):
    """One open attempt a video, one look-alike a lane, one attempt for a provider's video."""
    insert(database, "videos", VIDEO)
    insert(database, "attempts", {**ATTEMPT, "lane": "l"})
    insert(
        database,
        "attempts",
        {**ATTEMPT, "n": 7, "state": "accepted", "canonical_id": "up_1", "detached": True},
    )

    with pytest.raises(IntegrityError) as caught:
        insert(database, "attempts", {**ATTEMPT, "n": 2, **second})

    assert constraint == caught.value.orig.diag.constraint_name


def test_lane_is_free_when_its_attempt_is_over(database):
    """The next look-alike may start when nothing is open there any longer."""
    insert(database, "videos", VIDEO)
    insert(database, "attempts", {**ATTEMPT, "lane": "l", "state": "rejected", "ended_at": NOW})

    insert(database, "attempts", {**ATTEMPT, "n": 2, "lane": "l"})


def test_second_live_retry_is_refused(database):
    """Two retries of one video under way would both be paid for."""
    insert(database, "videos", {**VIDEO, "retry_of": "video_x"})

    with pytest.raises(IntegrityError) as caught:
        insert(database, "videos", {**VIDEO, "id": "video_2", "retry_of": "video_x"})

    assert "videos_one_live_retry" == caught.value.orig.diag.constraint_name


@pytest.mark.parametrize(
    "change",
    [
        {"videos_created": -1},
        {"videos_limit": -1},
        {"weight": 0},
        {"max_in_flight": 0},
        {"cost_limit": -1},
    ],
)
def test_quota_is_refused_when_it_is_negative(database, change):
    """A counter below zero would be a release too many: it fails loudly."""
    with pytest.raises(IntegrityError):
        insert(database, "user_quotas", {"user_id": "ann", "reset_at": NOW, **change})


def test_events_go_with_their_video(database):
    """Events and attempts of a video that is removed for good do not stay behind."""
    insert(database, "videos", VIDEO)
    insert(database, "attempts", ATTEMPT)
    insert(
        database,
        "video_events",
        {"video_id": VIDEO["id"], "event_type": "created", "user_id": "ann"},
    )

    with database.statement() as connection:
        connection.execute(text("delete from videos"))
        left = connection.execute(
            text("select (select count(*) from attempts), (select count(*) from video_events)")
        ).one()

    assert (0, 0) == tuple(left)


def test_ids_are_ordered_as_bytes(database):
    """Whatever the server's locale, ids sort by their time."""
    with database.statement() as connection:
        rows = connection.execute(
            text(
                "select attrelid::regclass::text, attname, collname from pg_attribute a "
                "join pg_collation c on c.oid = a.attcollation where attname in "
                "('id', 'user_id', 'video_id', 'key') and attrelid::regclass::text = any(:names)"
            ),
            {"names": list(tables.metadata.tables)},
        ).all()

    assert set() == {(row[0], row[1]) for row in rows if row[2] != "C"}


def test_seeds_reset_at_the_first_of_the_next_month(database):
    """The quotas that exist from the start have a month like all others."""
    with database.statement() as connection:
        resets = connection.execute(
            text(
                "select to_char(reset_at at time zone 'UTC', 'DD HH24:MI:SS'), reset_at > now(), "
                "reset_at <= now() + interval '31 days' from user_quotas"
            )
        ).all()

    assert [("01 00:00:00", True, True)] * 2 == [tuple(row) for row in resets]
