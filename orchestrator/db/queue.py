"""Everything that is due: ring, rescue, expire. The truth that the broker only hints at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

DUE = "due_at <= now() and (status = 'in_progress' or admitted_at is not null)"
"""Which videos want a worker now."""
# The leases of videos have no index: each claim would have to renew all entries of its row. What is
# claimed is due until its lease is given back, and there is an index of that.
_LEASED = (
    ("videos", "id", DUE),
    ("attempts", "video_id, n", "true"),
    ("deliveries", "id", "true"),
)


@dataclass(frozen=True, slots=True)
class Due:
    """A video whose step is due and that was just marked as rung."""

    id: str
    step: str
    kind: str
    provider: str
    account: str


def ring_due(connection: Connection, *, again: float, limit: int) -> list[Due]:
    """Mark due videos as rung and return them: those never rung, or not for `again` seconds.

    `due_at` stays: a ring is a hint that may be lost.
    """
    rows = connection.execute(
        text(
            f"""
            update videos v set rung_at = now() from (
              select id from videos where {DUE}
                and (lease_until is null or lease_until < now())
                and (rung_at is null or rung_at < now() - make_interval(secs => :again) or
                  rung_at < due_at)
              order by due_at limit :limit for update skip locked) d
            where v.id = d.id
            returning v.id, v.step, v.kind, v.provider, v.account
            """
        ),
        {"again": again, "limit": limit},
    )
    return [Due(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class DueAttempt:
    """An attempt that wants a look and was just marked as rung."""

    video_id: str
    n: int
    state: str
    provider: str
    account: str


def ring_due_attempts(connection: Connection, *, again: float, limit: int) -> list[DueAttempt]:
    """Mark due attempts (unknown, abandoned, detached) as rung and return them."""
    rows = connection.execute(
        text(
            """
            update attempts a set rung_at = now() from (
              select video_id, n from attempts
              where due_at <= now() and (lease_until is null or lease_until < now())
                and (rung_at is null or rung_at < now() - make_interval(secs => :again) or
                  rung_at < due_at)
              order by due_at limit :limit for update skip locked) d
            where a.video_id = d.video_id and a.n = d.n
            returning a.video_id, a.n, a.state, a.provider, a.account
            """
        ),
        {"again": again, "limit": limit},
    )
    return [DueAttempt(*row) for row in rows]


def expired_submits(connection: Connection, *, limit: int) -> list[tuple[str, int, str, str]]:
    """Attempts whose caller died in the middle: still `sent`, lease run out. As (video id, n,
    provider, account).
    """
    rows = connection.execute(
        text(
            "select video_id, n, provider, account from attempts where state = 'sent' and "
            "lease_until < now() "
            "order by lease_until limit :limit"
        ),
        {"limit": limit},
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def overdue_starts(connection: Connection, *, timeout: float, limit: int) -> list[str]:
    """Queued videos that should have started long ago, by id. Nobody is at work on them, and where
    the outcome of an attempt is unknown no look is outstanding: we may have been down for so long.
    """
    rows = connection.execute(
        text(
            """
            select id from videos v where status = 'queued' and step = 'submit'
              and coalesce(run_at, created_at) < now() - make_interval(secs => :timeout)
              and created_at < now() - make_interval(secs => :timeout)
              and lease_token is null and hold_reason is null
              and not exists (select 1 from attempts a where a.video_id = v.id
                and a.ended_at is null and (a.due_at <= now() or a.lease_until > now()))
            order by coalesce(run_at, created_at) limit :limit
            """
        ),
        {"timeout": timeout, "limit": limit},
    )
    return list(rows.scalars())


def renew(connection: Connection, tokens: Sequence[str], *, seconds: float) -> int:
    """Prolong every lease that carries one of these tokens. Returns how many rows still did."""
    renewed = 0
    for table, key, where in _LEASED:
        renewed += connection.execute(
            text(
                # In the order in which everybody locks many rows, so that nobody waits crosswise.
                f"update {table} set lease_until = now() + make_interval(secs => :seconds) "
                f"where ({key}) in (select {key} from {table} where {where} "
                f"and lease_token = any(:tokens) order by {key} for update)"
            ),
            {"tokens": list(tokens), "seconds": seconds},
        ).rowcount
    return renewed
