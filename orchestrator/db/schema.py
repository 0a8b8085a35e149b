"""Applies schema.sql: as often as one likes, from several processes at once."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, text

from orchestrator.db.engine import Database
from orchestrator.db.tables import metadata
from orchestrator.errors import ConfigurationError
from orchestrator.policies import default_videos_limit

VERSION = 9
_LOCK = 7_236_001
_SEEDED = ("admin", "anonymous")


def script() -> str:
    """The text of schema.sql: inside the package when installed from a wheel, at the root of a
    checkout.
    """
    packaged = files("orchestrator") / "schema.sql"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "schema.sql").read_text(encoding="utf-8")


def migrate(database: Database) -> list[str]:
    """Apply the schema if it is not there yet, verify every table, seed the default quotas. Returns
    the names of the tables.

    Raises:
        ConfigurationError: a table or column is missing although the script ran. Nothing is
            changed then.
        DependencyDown: PostgreSQL does not answer.
    """
    with database.transaction() as connection:
        # Two releases may migrate at the same moment; the second waits and finds everything done.
        connection.execute(text("set local lock_timeout = 0"))
        connection.execute(text("set local statement_timeout = 0"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not _is_current(connection):
            # Without parameters the driver leaves the script's percent signs alone.
            connection.exec_driver_sql(script(), execution_options={"no_parameters": True})
        _seed(connection)
        if missing := _missing(connection):
            # Raised before the commit: an incomplete schema must not carry our version's number.
            raise ConfigurationError(f"The schema is incomplete: {', '.join(missing)} is missing.")
    return sorted(metadata.tables)


def version(database: Database) -> int | None:
    """The schema version of the database; None when it was never migrated."""
    with database.statement() as connection:
        return _version(connection)


def _is_current(connection: Connection) -> bool:
    """Whether the script has nothing to do. It would lock tables all the same: each start of the
    processes would wait for a backup that is being written, and all others for that start.
    """
    return (_version(connection) or 0) >= VERSION and not _missing(connection)


def _version(connection: Connection) -> int | None:
    if connection.scalar(text("select to_regclass('schema_version')")) is None:
        return None
    found: int | None = connection.scalar(text("select max(version) from schema_version"))
    return found


def _missing(connection: Connection) -> list[str]:
    rows = connection.execute(
        text(
            "select table_name || '.' || column_name from information_schema.columns "
            "where table_schema = current_schema()"
        )
    )
    present = set(rows.scalars())
    return sorted(
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if f"{table.name}.{column.name}" not in present
    )


def _seed(connection: Connection) -> None:
    for user_id in _SEEDED:
        connection.execute(
            text(
                "insert into user_quotas (user_id, videos_limit, reset_at) values (:user_id, "
                ":limit, "
                "(date_trunc('month', now() at time zone 'UTC') + interval '1 month') at time "
                "zone 'UTC') "
                "on conflict (user_id) do nothing"
            ),
            {"user_id": user_id, "limit": default_videos_limit(user_id)},
        )
