"""An operator says which of the provider's videos it is: that counts once the provider has shown
one under this id. A wrong id would lose both videos, theirs and ours.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from orchestrator import acceptances, changes, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, looks, transitions
from orchestrator.db.engine import Connection
from orchestrator.errors import (
    Conflict,
    InvalidRequest,
    ProviderError,
    ProviderMissing,
    ProviderRejected,
)
from orchestrator.lifecycle import AttemptState, EventType, HoldReason
from orchestrator.matching import Open
from orchestrator.records import Attempt, Video
from orchestrator.rings import Ring

log = structlog.get_logger(__name__)

LONGEST_ID = 500
NOT_THERE = "The provider does not know the id that was to be adopted."
TAKEN = "The id that was to be adopted belongs to another video."


def check_id(provider: Provider, provider_video_id: str) -> None:
    """Raises InvalidRequest for what cannot be an id at this provider."""
    if len(provider_video_id) > LONGEST_ID:
        raise InvalidRequest(
            f"provider_video_id must have at most {LONGEST_ID} characters.",
            param="provider_video_id",
        )
    if not provider.profile.is_own_id(provider_video_id):
        raise InvalidRequest(
            "provider_video_id must be the LiteLLM proxy's own id (video_ and some 300 letters and "
            "digits), as its answers and logs show it; the id of the server behind it is another.",
            param="provider_video_id",
        )


def offer(
    connection: Connection, provider: Provider, video: Video, attempt: Attempt, raw_id: str
) -> Video | None:
    """Note the id; the next look at this attempt tries it. `video` and `attempt` are locked.

    Raises:
        Conflict: that id belongs to another attempt (`id_taken`).
    """
    canonical = provider.profile.canonical_id(raw_id)
    if looks.known_ids(connection, provider.name, provider.account, [canonical]):
        raise Conflict("That id belongs to another video already.", code="id_taken")
    attempts.offer(connection, attempt, raw_id)
    return transitions.record(
        connection,
        video.id,
        EventType.HELD,
        values={"hold_reason": HoldReason.ADOPTING},
        data={"reason": HoldReason.ADOPTING, "attempt": attempt.n},
    )


def ring(ctx: Context, attempt: Attempt) -> None:
    """Let the id be tried now; else the sweep finds it."""
    account = (attempt.provider, attempt.account)
    ctx.broker.ring([Ring("reconcile", account, "dispatch")])


def look(ctx: Context, provider: Provider, pair: Open) -> None:
    """Ask for the video under the id that an attempt was given, and adopt it if it is there. If it
    is not, the operator is asked again.
    """
    video, attempt = pair
    raw_id = attempt.adopt_id or ""
    try:
        found = ctx.pool.get(provider).retrieve(raw_id)
    except (ProviderMissing, ProviderRejected):
        _refuse(ctx, provider, pair, NOT_THERE)
    except ProviderError as error:
        log.warning("adoption_not_seen", video_id=video.id, reason=error.code)
        with ctx.database.transaction() as connection:
            wait = max(error.retry_after or 0.0, ctx.settings.reconcile_grace_seconds / 2)
            looks.change(connection, attempt, {}, due_in=wait)
    else:
        canonical = provider.profile.canonical_id(raw_id)
        # The id by which it was asked for is known to work; another spelling may not.
        named = replace(found, id=raw_id, canonical_id=canonical)
        if acceptances.accepted(ctx, provider, video.id, attempt.n, named, token=None) is None:
            _refuse(ctx, provider, pair, TAKEN)


def _refuse(ctx: Context, provider: Provider, pair: Open, reason: str) -> None:
    """The attempt is as unknown as before, unless it is settled by now."""
    listed = provider.profile.list != "none"
    with ctx.database.transaction() as connection:
        locked = attempts.lock(connection, pair[0].id, pair[1].n)
        if locked is None or locked[1].state != AttemptState.UNKNOWN:
            return
        if locked[1].adopt_id != pair[1].adopt_id:
            return
        grace = ctx.settings.reconcile_grace_seconds
        values = {"adopt_id": None, "error": reason}
        looks.change(connection, pair[1], values, due_in=grace if listed else None)
        held = unknowns.hold(connection, *locked, HoldReason.ADOPT_FAILED)
    log.warning("adoption_refused", video_id=pair[0].id, attempt=pair[1].n, reason=reason)
    if held is not None:
        changes.published(ctx, [held])
