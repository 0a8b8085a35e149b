"""Numbers of the whole installation that nobody needs to count, because the rows say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Webhook messages that were not taken yet, and for how many seconds the oldest of those that
    are due has been (0: none is).
    """

    pending: int
    overdue_seconds: float


def held(connection: Connection) -> Mapping[str, int]:
    """How many videos wait for an operator, by the reason."""
    rows = connection.execute(
        text(
            "select hold_reason, count(*) from videos where hold_reason is not null "
            "group by hold_reason"
        )
    )
    return {row[0]: row[1] for row in rows}


def open_attempts(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How many attempts hold a slot, by (provider, state)."""
    rows = connection.execute(
        text(
            "select provider, state, count(*) from attempts where ended_at is null "
            "group by provider, state"
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


def deliveries(connection: Connection) -> Deliveries:
    """What receivers of webhooks have not been told."""
    row = connection.execute(
        text(
            "select count(*), coalesce(cast(extract(epoch from now() - "
            "min(due_at) filter (where due_at <= now())) as float), 0) "
            "from deliveries where state = 'pending'"
        )
    ).one()
    return Deliveries(*row)


def spent(connection: Connection) -> Decimal:
    """US dollars of this month, of all users: charges, and the estimates of what is not settled."""
    return Decimal(
        connection.scalar(
            text("select coalesce(sum(cost_used), 0) from user_quotas where reset_at > now()")
        )
    )
