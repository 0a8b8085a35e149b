"""What was told to receivers, and telling them again: pings, the log, resending, replays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator import audit, endpoints
from orchestrator.audit import Action
from orchestrator.context import Context
from orchestrator.db import delivery_log as rows
from orchestrator.errors import Conflict, InvalidRequest, NotFound
from orchestrator.ids import uuid7_hex
from orchestrator.records import Caller, Delivery, Endpoint

MAX_REPLAY = 10_000


def ping(ctx: Context, caller: Caller, endpoint_id: str) -> Delivery:
    """Send an endpoint a message of type `endpoint.ping`.

    Raises:
        NotFound: no such endpoint of this user.
        Conflict: it is disabled (`endpoint_disabled`).
    """
    endpoint = _enabled(endpoints.load(ctx, caller, endpoint_id))
    with ctx.database.transaction() as connection:
        audit.foreign(connection, caller, Action.WEBHOOKS_SENT, endpoint)
        return rows.ping(
            connection,
            endpoint_id=endpoint.id,
            user_id=endpoint.user_id,
            message_id=f"evt_{uuid7_hex()}",
        )


def load(ctx: Context, caller: Caller, delivery_id: int) -> Delivery:
    """A delivery of this caller.

    Raises:
        NotFound: there is none.
    """
    with ctx.database.statement() as connection:
        found = rows.get(connection, delivery_id)
    if found is None or not (caller.admin or caller.user_id == found.user_id):
        raise NotFound("There is no such delivery.")
    return found


def page(
    ctx: Context,
    user_id: str | None,
    filters: Mapping[str, Any],
    *,
    before: int | None = None,
    limit: int = 50,
) -> list[Delivery]:
    """The deliveries of a user (None: of everybody), newest first, before the one with the id
    `before`. `filters`: endpoint_id, video_id, state, type.
    """
    with ctx.database.statement() as connection:
        return rows.page(connection, user_id, filters, before=before, limit=limit)


def resend(ctx: Context, caller: Caller, delivery_id: int) -> Delivery:
    """Send a message again, from the beginning of its schedule, with the same webhook-id.

    Raises:
        NotFound: no such delivery of this user.
        Conflict: its endpoint is disabled (`endpoint_disabled`).
    """
    found = load(ctx, caller, delivery_id)
    if found.endpoint_id is not None:
        _enabled(endpoints.load(ctx, caller, found.endpoint_id))
    with ctx.database.transaction() as connection:
        audit.foreign(connection, caller, Action.WEBHOOKS_SENT, found)
        return rows.resend(connection, delivery_id) or found


def replay(
    ctx: Context, caller: Caller, endpoint_id: str, *, since: datetime, until: datetime
) -> int:
    """Tell an endpoint of what happened from `since` to before `until`, whether it was told before
    or not. Returns how many messages that makes.

    Raises:
        NotFound: no such endpoint of this user.
        Conflict: it is disabled (`endpoint_disabled`).
        InvalidRequest: the range is empty, or holds more than 10,000 events.
    """
    endpoint = _enabled(endpoints.load(ctx, caller, endpoint_id))
    if since >= until:
        raise InvalidRequest("since must be before until.", param="since")
    with ctx.database.transaction() as connection:
        audit.foreign(connection, caller, Action.WEBHOOKS_SENT, endpoint)
        queued = rows.replay(
            connection,
            endpoint_id=endpoint.id,
            user_id=endpoint.user_id,
            since=since,
            until=until,
            limit=MAX_REPLAY,
        )
        if queued is None:
            raise InvalidRequest(
                f"There are more than {MAX_REPLAY} events in that range: replay it in parts.",
                param="until",
            )
    return queued


def _enabled(endpoint: Endpoint) -> Endpoint:
    if endpoint.disabled_at is not None:
        raise Conflict(
            f"This webhook endpoint is disabled: {endpoint.disabled_reason}.",
            code="endpoint_disabled",
        )
    return endpoint
