"""Submissions of which nobody knows what became: what the profile makes of them, and their end."""

from __future__ import annotations

import structlog

from orchestrator import changes, looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, submitting, transitions
from orchestrator.db.engine import Connection
from orchestrator.errors import ProviderError
from orchestrator.lifecycle import AttemptState, EventType, HoldReason, Status
from orchestrator.meters import UNKNOWN
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

OUTCOME_UNKNOWN = "It is not known whether the provider accepted this video."
_SILENCE = {"error": None, "http_status": None}


def unknown(
    ctx: Context,
    provider: Provider | None,
    video_id: str,
    n: int,
    *,
    token: str | None,
    error: ProviderError | None = None,
) -> None:
    """Nobody knows whether the provider took it: the profile says how that is found out.

    Args:
        provider: None: it is configured no longer, so nobody can ask it.
        token: None: whoever sent it is dead, and its lease on the video goes with it.
    """
    with ctx.database.transaction() as connection:
        pair = attempts.lock(connection, video_id, n)
        if pair is None or pair[1].state != AttemptState.SENT:
            return
        video, attempt = pair
        token = attempt.lease_token or "" if token is None else token
        changed = note(ctx, connection, provider, video, attempt, token=token, error=error)
    log.warning("outcome_unknown", video_id=video_id, attempt=n, provider=attempt.provider)
    ctx.meters.count(UNKNOWN, attempt.provider)
    if changed is not None:
        changes.published(ctx, [changed])


def note(
    ctx: Context,
    connection: Connection,
    provider: Provider | None,
    video: Video,
    attempt: Attempt,
    *,
    token: str,
    error: ProviderError | None,
) -> Video | None:
    """The same inside a transaction: `video` and `attempt` are locked."""
    profile = provider.profile if provider is not None else None
    found_out = profile is None or profile.list != "none" or profile.honours_idempotency_key
    attempts.unknown(
        connection,
        video.id,
        attempt.n,
        grace=ctx.settings.reconcile_grace_seconds if found_out else None,
        **(error.evidence if error else _SILENCE),
    )
    submitting.give_back(connection, video.id, attempt.n, token=token, due_in=None, unadmit=False)
    if provider is None:
        return hold(connection, video, attempt, HoldReason.ACCOUNT_GONE)
    if found_out:
        return None
    return undecided(ctx, connection, provider, video, attempt, HoldReason.OUTCOME_UNKNOWN)


def undecided(
    ctx: Context,
    connection: Connection,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    reason: HoldReason,
) -> Video | None:
    """No list can tell: the profile says who decides. `video` and `attempt` are locked."""
    on_unknown = provider.profile.on_unknown
    if on_unknown == "retry":
        return abandoned(ctx, connection, video, attempt)
    if on_unknown == "fail" and video.status == Status.QUEUED and not attempt.detached:
        return _failed_unknown(connection, video)
    return hold(connection, video, attempt, reason)


def hold(
    connection: Connection, video: Video, attempt: Attempt, reason: HoldReason
) -> Video | None:
    """Let a video wait for an operator, if it still waits for this attempt. `video` and `attempt`
    are locked. None: it does not, or waits for this reason already.
    """
    if video.status != Status.QUEUED or attempt.detached or video.hold_reason == reason:
        return None
    return transitions.record(
        connection,
        video.id,
        EventType.HELD,
        values={"hold_reason": reason},
        data={"reason": reason, "attempt": attempt.n},
    )


def abandoned(
    ctx: Context,
    connection: Connection,
    video: Video,
    attempt: Attempt,
    *,
    decision: str = "not_found",
    provider: Provider | None = None,
) -> Video | None:
    """It was not taken, as far as anybody can see: the next attempt may start, unless there were
    too many. A video that was held is released.

    `video` and `attempt` are locked. A video of the provider that turns up later is still
    matched, for a day.

    Args:
        decision: what a held video is released by.
        provider: whom the next attempt is for; None: the same as before.
    """
    attempts.abandon(connection, attempt, look_again=_next_late_look(ctx))
    if video.status != Status.QUEUED or attempt.detached:
        return None
    if attempts.abandoned_count(connection, video.id) >= ctx.settings.max_attempts:
        return _failed_unknown(connection, video)
    submitting.give_back(connection, video.id, attempt.n, token="", due_in=0)
    if video.hold_reason is None:
        return None
    # Held videos do not time out; the time to start one counts from its release.
    values: dict[str, object] = {"hold_reason": None, "run_at": transitions.After(0)}
    if provider is not None:
        values |= {"provider": provider.name, "account": provider.account}
    return transitions.record(
        connection,
        video.id,
        EventType.RELEASED,
        values=values,
        data={"decision": decision},
    )


def _failed_unknown(connection: Connection, video: Video) -> Video | None:
    failed = transitions.fail(connection, video.id, code="outcome_unknown", message=OUTCOME_UNKNOWN)
    if failed is not None:
        attempts.detach(connection, video.id, after=looks.DETACHED_SECONDS)
    return failed


def _next_late_look(ctx: Context) -> float:
    return max(60.0, 4 * ctx.settings.reconcile_grace_seconds)
