"""What comes instead of a video: each function records one such outcome of a submission, in one
transaction.
"""

from __future__ import annotations

import structlog

from orchestrator import changes, looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, providers, submitting, transitions
from orchestrator.db.transitions import MINE
from orchestrator.errors import OrchestratorError, ProviderBusy, ProviderError
from orchestrator.lifecycle import FAIL, QuotaState
from orchestrator.policies import backoff
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

MISCONFIGURED_BASE = 30.0


def refused(
    ctx: Context, video: Video, attempt: Attempt, error: OrchestratorError, *, token: str
) -> None:
    """The request will never do: the video fails, with the reason, and gives its place in the quota
    back.
    """
    with ctx.database.transaction() as connection:
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
        failed = transitions.transition(
            connection,
            video.id,
            FAIL,
            guard=MINE,
            params={"token": token, "n": attempt.n},
            values={"error_code": error.code, "error_message": error.message},
            data={"code": error.code, "message": error.message},
            settle=QuotaState.RELEASED,
        )
    if failed is not None:
        changes.published(ctx, [failed])


def deferred(
    ctx: Context, video: Video, attempt: Attempt, error: OrchestratorError, *, token: str
) -> None:
    """Our own fault, before anything was sent: try this video again soon."""
    with ctx.database.transaction() as connection:
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
        wait = backoff(ctx.settings.retry_base_seconds, attempt.n, ctx.dice(), ceiling=60)
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=wait)
    log.warning("submit_deferred", video_id=video.id, attempt=attempt.n, reason=error.code)


def unsent(ctx: Context, video: Video, attempt: Attempt, *, token: str) -> None:
    """The process ends before the call: somebody else makes the next attempt at once."""
    with ctx.database.transaction() as connection:
        attempts.rejected(
            connection,
            video.id,
            attempt.n,
            error="never sent: the worker stopped",
            http_status=None,
        )
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=0, unadmit=False)


def postponed(
    ctx: Context,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    error: ProviderError,
    *,
    token: str,
    misconfigured: bool = False,
) -> None:
    """Not now: the video goes back to the backlog, uncounted, and nobody bothers this provider for
    a while.
    """
    with ctx.database.transaction() as connection:
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=0)
        state = providers.get(connection, provider.name, provider.account)
        pauses = (state.pauses if state else 0) + 1
        base = MISCONFIGURED_BASE if misconfigured else ctx.settings.retry_base_seconds
        asked = error.retry_after if isinstance(error, ProviderBusy) else None
        seconds = max(asked or 0.0, backoff(base, pauses, ctx.dice(), ceiling=looks.PAUSE_CEILING))
        providers.pause(
            connection, provider.name, provider.account, reason=error.message, seconds=seconds
        )
    log.warning(
        "provider_paused",
        provider=provider.name,
        seconds=round(seconds, 1),
        reason=error.code,
        video_id=video.id,
        attempt=attempt.n,
    )
