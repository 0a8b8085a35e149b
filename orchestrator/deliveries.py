"""Outgoing webhooks: claim one, send it, record what the receiver said. At least once, unordered.

A slow or dead receiver holds up nobody else: few messages at once may be on their way to it, one
once it has failed; after three failures in a row it is left alone and tried now and then.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic_core import to_json

from orchestrator import endpoints, signatures
from orchestrator.context import Context
from orchestrator.db import audit as audit_rows
from orchestrator.db import deliveries as rows
from orchestrator.db import endpoints as endpoint_rows
from orchestrator.db import targets
from orchestrator.db.audit import Action
from orchestrator.db.deliveries import Tried
from orchestrator.db.engine import Connection
from orchestrator.meters import DELIVERED
from orchestrator.policies import circuit_wait, delivery_wait
from orchestrator.records import Delivery, Endpoint
from orchestrator.sender import Answer

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Messages on their way to one receiver."""
OF_USER = 8
"""The same for all receivers of one user, who may have many."""
TURN_SECONDS = 10.0
"""How long one task serves one receiver before others have their turn."""
HOPELESS_SECONDS = 5 * 86_400.0
"""An endpoint that has been failing for so long is disabled."""


def deliver(ctx: Context, target: str) -> None:
    """Send what is due to one receiver, until nothing is, its turn is over, or it fails."""
    turn_ends = time.monotonic() + TURN_SECONDS
    with ctx.leases.hold() as token:
        while time.monotonic() < turn_ends:
            with ctx.database.transaction() as connection:
                delivery = rows.claim(
                    connection,
                    target,
                    token=token,
                    lease=ctx.leases.seconds,
                    at_once=AT_ONCE,
                    of_user=OF_USER,
                )
            if delivery is None:
                return
            endpoint = _receiver(ctx, delivery)
            if endpoint is None:
                return

            answer = _send(ctx, delivery, endpoint)

            _record(ctx, delivery, answer, token)
            if not answer.delivered:
                return


def message(delivery: Delivery) -> dict[str, Any]:
    """The body of a message; like the openai SDK's events, with unix seconds."""
    return {
        "id": delivery.message_id,
        "object": "event",
        "type": delivery.type,
        "created_at": int(delivery.event_at.timestamp()),
        "data": dict(delivery.data),
    }


def _receiver(ctx: Context, delivery: Delivery) -> Endpoint | None:
    """Who is told, with which secrets. None: it was removed this moment, and its messages too."""
    if delivery.endpoint_id is None:
        return endpoints.signer(ctx, delivery.user_id)
    with ctx.database.statement() as connection:
        return endpoint_rows.get(connection, delivery.endpoint_id)


def _send(ctx: Context, delivery: Delivery, endpoint: Endpoint) -> Answer:
    body = to_json(message(delivery))
    now = time.time()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "video-orchestrator",
        **signatures.headers_for(delivery.message_id, body, _secrets(endpoint), now=now),
    }
    return ctx.sender.post(
        delivery.url or endpoint.url or "",
        body,
        headers,
        allow_local=ctx.settings.local_webhooks,
    )


def _secrets(endpoint: Endpoint) -> list[str]:
    until = endpoint.previous_until
    if endpoint.previous_secret is None or until is None or until <= datetime.now(UTC):
        return [endpoint.secret]
    return [endpoint.secret, endpoint.previous_secret]


def _record(ctx: Context, delivery: Delivery, answer: Answer, token: str) -> None:
    tried = Tried(answer.status, answer.excerpt, answer.error or _complaint(answer))
    disabled: str | None = None
    with ctx.database.transaction() as connection:
        if answer.delivered:
            rows.succeeded(connection, delivery, tried, token=token)
        else:
            wait = delivery_wait(delivery.attempts + 1, ctx.dice(), asked=answer.retry_after)
            recorded = rows.failed(
                connection, delivery, tried, token=token, due_in=None if answer.gone else wait
            )
            failures, seconds = targets.blame(connection, delivery.target)
            targets.block(connection, delivery.target, seconds=circuit_wait(failures, ctx.dice()))
            reason = _hopeless(answer, seconds)
            if recorded and reason is not None and _switch_off(connection, delivery, reason):
                disabled = reason
    ctx.meters.count(DELIVERED, "delivered" if answer.delivered else "failed")
    log.info(
        "webhook_sent" if answer.delivered else "webhook_failed",
        delivery=delivery.id,
        endpoint=delivery.endpoint_id,
        video_id=delivery.video_id,
        status=answer.status,
        reason=answer.error,
        attempt=delivery.attempts + 1,
    )
    if disabled is not None:
        log.warning("webhook_endpoint_disabled", endpoint=delivery.endpoint_id, reason=disabled)


def _switch_off(connection: Connection, delivery: Delivery, reason: str) -> bool:
    """Disable the endpoint that a message was for, and note that; its owner sees the reason with
    it. False: it is disabled already, or it is the address of a single video, which ends with it.
    """
    endpoint_id = delivery.endpoint_id
    if endpoint_id is None:
        return False
    rows.give_up(connection, endpoint_id, reason)
    if not endpoint_rows.disable(connection, endpoint_id, reason):
        return False
    data = {"user_id": delivery.user_id, "reason": reason}
    audit_rows.write(connection, None, Action.ENDPOINT_DISABLED, endpoint_id, data)
    return True


def _complaint(answer: Answer) -> str | None:
    return None if answer.delivered else f"HTTP {answer.status}"


def _hopeless(answer: Answer, seconds: float) -> str | None:
    """Why an endpoint should be told nothing more."""
    if answer.gone:
        return "it answered 410"
    if seconds >= HOPELESS_SECONDS:
        return "it has been failing for five days"
    return None
