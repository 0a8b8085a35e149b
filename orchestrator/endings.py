"""When a user has had enough: cancel and delete. The provider may not notice; what it charges is
watched for.
"""

from __future__ import annotations

from orchestrator import audit, changes
from orchestrator.audit import Action
from orchestrator.context import Context
from orchestrator.db import attempts, transitions, videos
from orchestrator.db.engine import Connection
from orchestrator.db.transitions import After
from orchestrator.errors import Conflict, NotFound
from orchestrator.ids import is_video_id
from orchestrator.lifecycle import CANCEL, DELETE, LIVE, QuotaState, Status, Step
from orchestrator.records import Caller, Video


def cancel(ctx: Context, caller: Caller, video_id: str) -> Video:
    """Stop a video that is not finished. A second cancel answers like the first.

    A queued one gives its place in the quota back. One that the provider has accepted keeps it
    until the provider is done: it may still charge for it.

    Raises:
        NotFound: no such video of this user.
        Conflict: it is finished (`already_finished`); the completion was first.
    """
    with ctx.database.transaction() as connection:
        video = _locked(connection, caller, video_id)
        if video.status == Status.CANCELLED:
            return video
        if video.status not in LIVE:
            raise Conflict(
                f"This video is {video.status} already and cannot be cancelled.",
                code="already_finished",
            )
        cancelled = _cancel(connection, video)
        audit.foreign(connection, caller, Action.VIDEO_CANCELLED, video)
    changes.published(ctx, [cancelled])
    return cancelled


def delete(ctx: Context, caller: Caller, video_id: str) -> Video:
    """Hide a video; its bytes go after a while. One that is not finished is cancelled first, in the
    same moment.

    Raises:
        NotFound: no such video of this user, or it is deleted already.
    """
    with ctx.database.transaction() as connection:
        video = _locked(connection, caller, video_id)
        if video.status in LIVE:
            _cancel(connection, video)
        deleted = transitions.transition(
            connection,
            video_id,
            DELETE,
            values={"deleted_at": After(0)},
            data={"user_id": caller.user_id},
        )
        if deleted is None:
            raise RuntimeError("a locked video has changed")
        audit.foreign(connection, caller, Action.VIDEO_DELETED, video)
    changes.published(ctx, [deleted])
    return deleted


def _locked(connection: Connection, caller: Caller, video_id: str) -> Video:
    video = videos.lock(connection, video_id) if is_video_id(video_id) else None
    if video is None or video.status == Status.DELETED:
        raise NotFound("There is no such video.")
    if video.user_id != caller.user_id and not caller.admin:
        raise NotFound("There is no such video.")
    return video


def _cancel(connection: Connection, video: Video) -> Video:
    """The row is locked, so what is decided from it holds."""
    cancelled = transitions.transition(
        connection,
        video.id,
        CANCEL,
        settle=_settlement(video),
        data={"step": video.step, "cost": str(video.cost_actual)},
    )
    if cancelled is None:
        raise RuntimeError("a locked video has changed")
    attempts.detach(connection, video.id)
    return cancelled


def _settlement(video: Video) -> QuotaState | None:
    if video.status == Status.QUEUED:
        return QuotaState.RELEASED
    return QuotaState.KEPT if video.step == Step.STORE else None
