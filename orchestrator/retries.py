"""Asking again for many failed videos at once."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import submissions
from orchestrator.context import Context
from orchestrator.db import audit, videos
from orchestrator.db.audit import Action
from orchestrator.db.videos import Filters
from orchestrator.errors import InvalidRequest, OrchestratorError
from orchestrator.lifecycle import Status
from orchestrator.records import Caller, Video

MODERATED = frozenset({"moderation_blocked"})
"""Refusals of what was asked for: only a person, one by one, may insist. A machine that does risks
the account.
"""
RETRYABLE = (Status.FAILED, Status.CANCELLED)
MAX_RETRIES = 500


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one of the videos: the new one, or why there is none."""

    source: Video
    video: Video | None
    error: OrchestratorError | None


def retry_all(
    ctx: Context,
    filters: Filters,
    *,
    user_id: str | None,
    limit: int,
    by: Caller | None = None,
) -> list[Retried]:
    """Retry failed and cancelled videos of a user (None: of everybody), newest first, at most
    `limit` of them.

    Each is a transaction of its own, on its owner's quota. One that has been retried already is
    not retried twice. `by`: who asks for it; None: somebody at the command line.

    Raises:
        InvalidRequest: the filters ask for videos that cannot be retried.
    """
    statuses = filters.status or (Status.FAILED,)
    if not set(statuses) <= set(RETRYABLE):
        raise InvalidRequest(f"status must be one of {', '.join(RETRYABLE)}.", param="status")
    with ctx.database.statement() as connection:
        found = videos.retryable(
            connection,
            user_id,
            filters,
            statuses=statuses,
            except_codes=sorted(MODERATED),
            limit=limit,
        )
        data = {"videos": len(found)}
        audit.write(connection, by, Action.VIDEOS_RETRIED, user_id or "everybody", data)
    return [_retry(ctx, video) for video in found]


def _retry(ctx: Context, video: Video) -> Retried:
    try:
        submitted = submissions.retry(ctx, Caller(video.user_id), video.id)
    except OrchestratorError as error:
        return Retried(video, None, error)
    return Retried(video, submitted.video, None)
