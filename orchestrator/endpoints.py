"""Whom a user wants to be told of what happens to their videos: addresses, filters, secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator import audit, receivers, signatures
from orchestrator.audit import Action
from orchestrator.context import Context
from orchestrator.db import deliveries, targets
from orchestrator.db import endpoints as rows
from orchestrator.errors import Conflict, InvalidRequest, NotFound
from orchestrator.ids import uuid7_hex
from orchestrator.lifecycle import ENDING_EVENTS, WEBHOOK_TYPES
from orchestrator.records import Caller, Endpoint

MAX_ENDPOINTS = 20
OVERLAP_HOURS = 24.0
DEFAULT_EVENTS = tuple(f"video.{event}" for event in ENDING_EVENTS)


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint, and since when it has been failing (None: it does not)."""

    endpoint: Endpoint
    failing_since: datetime | None


def create(
    ctx: Context,
    caller: Caller,
    url: str,
    *,
    events: Sequence[str] = DEFAULT_EVENTS,
    description: str | None = None,
) -> Endpoint:
    """Tell this address of these types of events, from now on.

    Raises:
        InvalidRequest: the address or a type cannot be.
        Conflict: the user has 20 endpoints already (`too_many_endpoints`).
    """
    check_url(ctx, url, param="url")
    with ctx.database.transaction() as connection:
        made = rows.insert(
            connection,
            endpoint_id=_new_id(),
            user_id=caller.user_id,
            url=url,
            events=_checked(events),
            description=description,
            secret=signatures.new_secret(),
            limit=MAX_ENDPOINTS,
        )
    if made is None:
        raise Conflict(
            f"There are {MAX_ENDPOINTS} webhook endpoints already: remove one first.",
            code="too_many_endpoints",
        )
    return made


def check_url(ctx: Context, url: str, *, param: str) -> str:
    """The address, if webhooks may go there. Raises InvalidRequest that names `param`."""
    return receivers.check_url(url, param=param, allow_local=ctx.settings.local_webhooks)


def load(ctx: Context, caller: Caller, endpoint_id: str) -> Endpoint:
    """An endpoint of this caller.

    Raises:
        NotFound: there is none.
    """
    with ctx.database.statement() as connection:
        found = rows.get(connection, endpoint_id)
    if found is None or not (caller.admin or caller.user_id == found.user_id):
        raise _missing()
    return found


def of_user(ctx: Context, caller: Caller) -> list[Health]:
    """The caller's endpoints, oldest first."""
    with ctx.database.statement() as connection:
        found = rows.of_user(connection, caller.user_id)
    return _with_health(ctx, found)


def health(ctx: Context, endpoint: Endpoint) -> Health:
    """How one endpoint does."""
    return _with_health(ctx, [endpoint])[0]


def change(
    ctx: Context,
    caller: Caller,
    endpoint_id: str,
    values: Mapping[str, Any],
    *,
    disabled: bool | None = None,
) -> Endpoint:
    """Set url, events or description, or switch the endpoint off or on. What happens while it is
    off is not told, except by a replay.

    Raises:
        NotFound: no such endpoint of this user.
        InvalidRequest: a value cannot be.
    """
    load(ctx, caller, endpoint_id)
    if "url" in values:
        check_url(ctx, values["url"], param="url")
    if "events" in values:
        values = {**values, "events": _checked(values["events"])}
    with ctx.database.transaction() as connection:
        changed = rows.change(connection, endpoint_id, values, disabled=disabled)
        if disabled:
            deliveries.give_up(connection, endpoint_id, "the endpoint was disabled")
        if disabled is False or "url" in values:
            targets.forgive(connection, endpoint_id)
        if changed is not None:
            audit.foreign(connection, caller, Action.ENDPOINT_CHANGED, changed)
    if changed is None:
        raise _missing()
    return changed


def delete(ctx: Context, caller: Caller, endpoint_id: str) -> Endpoint:
    """Remove an endpoint, and what waits for it.

    Raises:
        NotFound: no such endpoint of this user.
    """
    found = load(ctx, caller, endpoint_id)
    with ctx.database.transaction() as connection:
        rows.delete(connection, endpoint_id)
        audit.foreign(connection, caller, Action.ENDPOINT_REMOVED, found)
    return found


def rotate(ctx: Context, caller: Caller, endpoint_id: str, *, hours: float) -> Endpoint:
    """Sign with a new secret. The present one signs, too, for so many hours more.

    Raises:
        NotFound: no such endpoint of this user.
    """
    return _rotated(ctx, caller, load(ctx, caller, endpoint_id), hours)


def signer(ctx: Context, user_id: str) -> Endpoint:
    """The secrets that sign what goes to the webhook_url of this user's videos."""
    with ctx.database.statement() as connection:
        return rows.signer(
            connection, user_id, endpoint_id=_new_id(), secret=signatures.new_secret()
        )


def rotate_signer(ctx: Context, caller: Caller, *, hours: float) -> Endpoint:
    """The same as `rotate` for the secret of single videos."""
    return _rotated(ctx, caller, signer(ctx, caller.user_id), hours)


def _rotated(ctx: Context, caller: Caller, endpoint: Endpoint, hours: float) -> Endpoint:
    with ctx.database.transaction() as connection:
        changed = rows.rotate(
            connection, endpoint.id, secret=signatures.new_secret(), overlap=hours * 3600
        )
        audit.foreign(connection, caller, Action.ENDPOINT_ROTATED, endpoint)
    if changed is None:
        raise _missing()
    return changed


def _with_health(ctx: Context, found: Sequence[Endpoint]) -> list[Health]:
    if not found:
        return []
    with ctx.database.statement() as connection:
        since = targets.failing(connection, [endpoint.id for endpoint in found])
    return [Health(endpoint, since.get(endpoint.id)) for endpoint in found]


def _checked(events: Sequence[str]) -> list[str]:
    if not events or any(event not in WEBHOOK_TYPES for event in events):
        raise InvalidRequest(f"events must be some of {', '.join(WEBHOOK_TYPES)}.", param="events")
    return list(dict.fromkeys(events))


def _new_id() -> str:
    return f"we_{uuid7_hex()}"


def _missing() -> NotFound:
    return NotFound("There is no such webhook endpoint.")
