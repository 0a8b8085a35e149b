"""Submissions of which nobody knows what became: what the profile makes of them, and their end."""

from __future__ import annotations

import structlog

from orchestrator import changes, looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, submitting, transitions
from orchestrator.db.engine import Connection
from orchestrator.errors import ProviderError
from orchestrator.lifecycle import AttemptState, EventType, Status
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

OUTCOME_UNKNOWN = "It is not known whether the provider accepted this video."
_SILENCE = {"error": None, "http_status": None}


def unknown(
    ctx: Context,
    provider: Provider,
    video_id: str,
    n: int,
    *,
    token: str | None,
    error: ProviderError | None = None,
) -> None:
    """Nobody knows whether the provider took it: the profile says how that is found out.

    Args:
        token: None: whoever sent it is dead, and its lease on the video goes with it.
    """
    with ctx.database.transaction() as connection:
        pair = attempts.lock(connection, video_id, n)
        if pair is None or pair[1].state != AttemptState.SENT:
            return
        video, attempt = pair
        token = attempt.lease_token or "" if token is None else token
        changed = note(ctx, connection, provider, video, attempt, token=token, error=error)
    log.warning("outcome_unknown", video_id=video_id, attempt=n, provider=provider.name)
    if changed is not None:
        changes.published(ctx, [changed])


def note(
    ctx: Context,
    connection: Connection,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    *,
    token: str,
    error: ProviderError | None,
) -> Video | None:
    """The same inside a transaction: `video` and `attempt` are locked."""
    profile = provider.profile
    found_out = profile.list != "none" or profile.honours_idempotency_key
    attempts.unknown(
        connection,
        video.id,
        attempt.n,
        grace=ctx.settings.reconcile_grace_seconds if found_out else None,
        **(error.evidence if error else _SILENCE),
    )
    submitting.give_back(connection, video.id, attempt.n, token=token, due_in=None, unadmit=False)
    if found_out:
        return None
    if profile.on_unknown == "retry":
        return abandoned(ctx, connection, video, attempt)
    if video.status != Status.QUEUED or attempt.detached:
        return None
    if profile.on_unknown == "fail":
        return _failed_unknown(connection, video)
    return transitions.record(
        connection,
        video.id,
        EventType.HELD,
        guard="v.status = 'queued' and v.hold_reason is null",
        values={"hold_reason": "outcome_unknown"},
        data={"reason": "outcome_unknown", "attempt": attempt.n},
    )


def abandoned(ctx: Context, connection: Connection, video: Video, attempt: Attempt) -> Video | None:
    """It was not taken, as far as anybody can see: the next attempt may start, unless there were
    too many.

    `video` and `attempt` are locked. A video of the provider that turns up later is still
    matched, for a day.
    """
    attempts.abandon(connection, attempt, look_again=_next_late_look(ctx))
    if video.status != Status.QUEUED or attempt.detached:
        return None
    if attempts.abandoned_count(connection, video.id) >= ctx.settings.max_attempts:
        return _failed_unknown(connection, video)
    submitting.give_back(connection, video.id, attempt.n, token="", due_in=0)
    return None


def _failed_unknown(connection: Connection, video: Video) -> Video | None:
    failed = transitions.fail(connection, video.id, code="outcome_unknown", message=OUTCOME_UNKNOWN)
    if failed is not None:
        attempts.detach(connection, video.id, after=looks.DETACHED_SECONDS)
    return failed


def _next_late_look(ctx: Context) -> float:
    return max(60.0, 4 * ctx.settings.reconcile_grace_seconds)
