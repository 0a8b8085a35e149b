"""`webhook_targets`: what we know of the receivers of messages, and whom to ring for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text


def ring_due(connection: Connection, *, again: float, limit: int) -> list[str]:
    """Mark the receivers for whom something is due as rung, and return them.

    Found by a skip scan: a backlog of one receiver costs the others nothing.
    """
    rows = connection.execute(
        text(
            """
            with recursive t as (
              (select target from deliveries where state = 'pending' order by target limit 1)
              union all
              select (select d.target from deliveries d where d.state = 'pending'
                        and d.target > t.target order by d.target limit 1)
              from t where t.target is not null),
            due as (
              select t.target from t
              cross join lateral (select d.due_at from deliveries d where d.state = 'pending'
                and d.target = t.target and d.due_at <= now()
                and (d.lease_until is null or d.lease_until < now())
                order by d.due_at limit 1) n
              left join webhook_targets w on w.target = t.target
              where t.target is not null
                and (w.blocked_until is null or w.blocked_until <= now())
                and (w.rung_at is null or w.rung_at < n.due_at
                  or w.rung_at < now() - make_interval(secs => :again))
              order by t.target limit :limit)
            insert into webhook_targets (target, rung_at) select target, now() from due
            on conflict (target) do update set rung_at = now()
            returning target
            """
        ),
        {"again": again, "limit": limit},
    )
    return list(rows.scalars())


def blame(connection: Connection, target: str) -> tuple[int, float]:
    """Count a failure of a receiver. Returns how many there were in a row, and for how many seconds
    it has been failing.
    """
    row = connection.execute(
        text(
            "update webhook_targets set failures = failures + 1, failing_since = "
            "coalesce(failing_since, now()) where target = :target "
            "returning failures, extract(epoch from now() - failing_since)"
        ),
        {"target": target},
    ).one_or_none()
    return (1, 0.0) if row is None else (int(row[0]), float(row[1]))


def block(connection: Connection, target: str, *, seconds: float) -> None:
    """Leave a receiver alone for a while."""
    connection.execute(
        text(
            "update webhook_targets set blocked_until = now() + make_interval(secs => :seconds) "
            "where target = :target"
        ),
        {"target": target, "seconds": seconds},
    )


def failing(connection: Connection, targets: Sequence[str]) -> dict[str, datetime]:
    """Since when each of these receivers has been failing, if it does."""
    rows = connection.execute(
        text(
            "select target, failing_since from webhook_targets where target = any(:targets) "
            "and failing_since is not null"
        ),
        {"targets": list(targets)},
    )
    return {row[0]: row[1] for row in rows}


def forgive(connection: Connection, target: str) -> None:
    """Forget the failures of a receiver: its owner says that it is back."""
    connection.execute(
        text("delete from webhook_targets where target = :target"), {"target": target}
    )


def prune(connection: Connection, *, days: float, limit: int) -> int:
    """Forget receivers of single videos for whom nothing has waited for so long, dead ones among
    them. Endpoints go with their owners' leave only. Returns how many.
    """
    return connection.execute(
        text(
            "delete from webhook_targets where target = any(array(select t.target from "
            "webhook_targets t where position(' ' in t.target) > 0 "
            "and greatest(t.rung_at, t.blocked_until, '-infinity') < "
            "now() - make_interval(secs => :age) "
            "and not exists (select from deliveries d where d.target = t.target "
            "and d.state = 'pending') limit :limit))"
        ),
        {"age": days * 86_400, "limit": limit},
    ).rowcount
