"""What an operator asks a database: which server it is, and whether work gets stuck."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.queue import DUE

_OLDEST = 100


@dataclass(frozen=True, slots=True)
class Work:
    """What waits, and how many videos ended well or badly within the last hour."""

    waiting: int
    held: int
    unknown: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """The step that has been due for longest, and for how many seconds."""

    step: str
    seconds: float


def server_version(connection: Connection) -> str:
    """PostgreSQL's version, such as `18.1`."""
    return str(connection.scalar(text("show server_version"))).split()[0]


def work(connection: Connection) -> Work:
    """What waits for a slot, an operator or certainty; what has ended."""
    row = connection.execute(
        text(
            """
            select (select count(*) from videos where status = 'queued')
                - (select count(*) from videos where status = 'queued' and admitted_at is not null),
              (select count(*) from videos where hold_reason is not null),
              (select count(*) from attempts where state = 'unknown' and ended_at is null),
              count(*) filter (where event_type = 'completed'),
              count(*) filter (where event_type = 'failed')
            from video_events where created_at > now() - interval '1 hour'
              and event_type in ('completed', 'failed')
            """
        )
    ).one()
    return Work(*row)


def overdue(connection: Connection) -> Overdue | None:
    """How late the work is, by the steps that nobody is at. None: no such step is due."""
    row = connection.execute(
        text(
            f"""
            select step, cast(extract(epoch from now() - since) as float) from (
              -- A store step keeps the due time of the look that made it due.
              select step, greatest(due_at, case step when 'store' then last_polled_at end) as since
              from videos where {DUE} and (lease_until is null or lease_until < now())
              order by due_at limit {_OLDEST}) d
            order by since limit 1
            """
        )
    ).one_or_none()
    return None if row is None else Overdue(*row)


def silent_seconds(connection: Connection) -> dict[str, float]:
    """The processes of this database by the names that they give, such as `orchestrator worker`,
    and for how many seconds the least quiet of each has said nothing to it.
    """
    rows = connection.execute(
        text(
            """
            select application_name, min(case when state = 'active' then 0
              else greatest(0, cast(extract(epoch from clock_timestamp() - state_change) as float))
              end)
            from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
              and application_name like 'orchestrator%' and state_change is not null
            group by application_name
            """
        )
    )
    return {row[0]: row[1] for row in rows}
