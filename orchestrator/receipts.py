"""Webhooks of providers: only a hint. It is verified, counted once, and lets us look sooner; what
has happened is what the look says.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from pydantic_core import from_json

from orchestrator import signatures
from orchestrator.catalog import Catalog, Provider
from orchestrator.context import Context
from orchestrator.db import looks
from orchestrator.db import receipts as rows
from orchestrator.db.engine import Connection
from orchestrator.errors import InvalidRequest, NotFound
from orchestrator.rings import Ring

log = structlog.get_logger(__name__)

# Where one provider is configured by the environment it is called so; its address says openai, as
# its variables do.
_OPENAI = "openai"
_DEFAULT = "default"


def receive(ctx: Context, name: str, headers: Mapping[str, str], body: bytes) -> None:
    """Take a webhook of the provider `name`. `headers` by their names in lower case.

    Raises:
        NotFound: no such provider, or it has no secret here.
        InvalidRequest: the signature is missing, wrong or too old (`bad_signature`).
    """
    provider = _named(ctx.catalog, name)
    if provider is None or not provider.webhook_secret:
        raise NotFound("No webhooks are taken at this address.")
    try:
        message_id = signatures.verify(headers, body, provider.webhook_secret, now=time.time())
    except (signatures.BadSignature, ValueError):
        raise InvalidRequest(
            "The signature does not match, or is not of the last five minutes.",
            code="bad_signature",
        ) from None
    upstream_id = _subject(body)
    with ctx.database.transaction() as connection:
        fresh = rows.take(connection, provider.name, message_id)
        ring = _look(connection, provider, upstream_id) if fresh and upstream_id else None
    if ring is not None:
        ctx.broker.ring([ring])
    log.info("webhook_received", provider=provider.name, fresh=fresh, known=ring is not None)


def _named(catalog: Catalog, name: str) -> Provider | None:
    found = catalog.providers.get(name)
    if found is None and name == _OPENAI:
        return catalog.providers.get(_DEFAULT)
    return found


def _subject(body: bytes) -> str | None:
    """The id of the provider's video that this is about."""
    try:
        found = from_json(body)["data"]["id"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(found, str) or not 1 <= len(found) <= 500 or not found.isprintable():
        return None
    return found


def _look(connection: Connection, provider: Provider, upstream_id: str) -> Ring:
    """Make the look due that will show what is new, and say whom to ring for it."""
    name, account = provider.name, provider.account
    canonical = provider.profile.canonical_id(upstream_id)
    known = rows.make_due(connection, name, account, canonical)
    if known is None:
        # It may be a submission whose outcome we have not recorded, or do not know.
        looks.ask_looks(connection, name, account)
        return Ring("reconcile", (name, account), "dispatch")
    video_id, ours = known
    return Ring("poll", ([video_id],), "poll") if ours else Ring("watch", (name, account), "poll")
