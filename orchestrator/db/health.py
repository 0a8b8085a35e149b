"""What an operator asks a database: which server it is, and whether work gets stuck."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Work:
    """What waits, and for how many seconds the oldest due step has been due (None: none is)."""

    waiting: int
    held: int
    unknown: int
    overdue_seconds: float | None


def server_version(connection: Connection) -> str:
    """PostgreSQL's version, such as `18.1`."""
    return str(connection.scalar(text("show server_version"))).split()[0]


def work(connection: Connection) -> Work:
    """Counts of what waits for a slot, an operator or certainty, and the age of what is due."""
    row = connection.execute(
        text(
            """
            select (select count(*) from videos where status = 'queued' and admitted_at is null),
              (select count(*) from videos where hold_reason is not null),
              (select count(*) from attempts where state = 'unknown' and ended_at is null),
              (select cast(extract(epoch from now() - min(due_at)) as float) from videos
               where due_at is not null and due_at <= now()
                 and (step <> 'submit' or admitted_at is not null)
                 and (lease_until is null or lease_until < now()))
            """
        )
    ).one()
    return Work(*row)
