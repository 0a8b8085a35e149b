"""The log of `deliveries`, and sending again what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db import outbox
from orchestrator.db.rows import columns
from orchestrator.db.tables import deliveries
from orchestrator.records import Delivery

_DELIVERY = columns("d", deliveries)
_RESULT = tuple(deliveries.columns)


def get(connection: Connection, delivery_id: int) -> Delivery | None:
    """One delivery."""
    row = connection.execute(
        text(f"select {_DELIVERY} from deliveries d where id = :id").columns(*_RESULT),
        {"id": delivery_id},
    ).one_or_none()
    return None if row is None else Delivery(*row)


def page(
    connection: Connection,
    user_id: str | None,
    filters: Mapping[str, Any],
    *,
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries of a user (None: of everybody), newest first, before the one with the id `before`;
    `filters` by column (endpoint_id, video_id, state, type).
    """
    names = [deliveries.columns[name].name for name in filters]
    owned = [] if user_id is None else ["user_id"]
    conditions = "".join(f" and d.{name} = :{name}" for name in [*owned, *names])
    rows = connection.execute(
        text(
            f"select {_DELIVERY} from deliveries d "
            f"where (cast(:before as bigint) is null or d.id < :before) {conditions} "
            "order by d.id desc limit :limit"
        ).columns(*_RESULT),
        {**filters, "user_id": user_id, "before": before, "limit": limit},
    )
    return [Delivery(*row) for row in rows]


def ping(connection: Connection, *, endpoint_id: str, user_id: str, message_id: str) -> Delivery:
    """Queue a message that tells of nothing."""
    row = connection.execute(
        text(
            "insert into deliveries as d (message_id, endpoint_id, target, user_id, type, data) "
            "values (:message_id, :endpoint_id, :endpoint_id, :user_id, 'endpoint.ping', "
            f"jsonb_build_object('id', cast(:endpoint_id as text))) returning {_DELIVERY}"
        ).columns(*_RESULT),
        {"message_id": message_id, "endpoint_id": endpoint_id, "user_id": user_id},
    ).one()
    return Delivery(*row)


def resend(connection: Connection, delivery_id: int) -> Delivery | None:
    """Let a delivery start over, with the same webhook-id. None: it is on its way just now."""
    row = connection.execute(
        text(
            "update deliveries d set state = 'pending', attempts = 0, due_at = now(), "
            "delivered_at = null where id = :id and (lease_until is null or lease_until < now()) "
            f"returning {_DELIVERY}"
        ).columns(*_RESULT),
        {"id": delivery_id},
    ).one_or_none()
    return None if row is None else Delivery(*row)


def replay(
    connection: Connection,
    *,
    endpoint_id: str,
    user_id: str,
    since: datetime,
    until: datetime,
    limit: int,
) -> int | None:
    """Tell an endpoint (again) of what happened from `since` to before `until`, as far as it wants
    to know. Returns how many messages wait now; None: there are more than `limit` events.
    """
    event_ids = list(
        connection.execute(
            text(
                "select id from video_events where user_id = :user_id and seq is not null "
                "and created_at >= :since and created_at < :until order by id limit :limit"
            ),
            {"user_id": user_id, "since": since, "until": until, "limit": limit + 1},
        ).scalars()
    )
    return None if len(event_ids) > limit else outbox.repeat(connection, endpoint_id, event_ids)
