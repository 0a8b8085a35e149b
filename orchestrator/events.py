"""The history of videos: what happened to them, how they were submitted, what they came from; and
what nobody needs to be certain of, to add to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from orchestrator import videos
from orchestrator.context import Context
from orchestrator.db import attempts as attempt_rows
from orchestrator.db import events as rows
from orchestrator.db import traffic
from orchestrator.db import videos as video_rows
from orchestrator.db.traffic import Minute
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import EventType
from orchestrator.records import Attempt, Caller, Event, Video

FAMILY = 200
"""So many versions of a video are told, the oldest first."""

log = structlog.get_logger(__name__)


def history(
    ctx: Context, caller: Caller, video_id: str, *, after: int = 0, limit: int = 1000
) -> list[Event]:
    """What happened to a video, oldest first, behind the event with the id `after`.

    Raises:
        NotFound: no such video of this user.
    """
    videos.load(ctx, caller, video_id)
    with ctx.database.statement() as connection:
        return rows.of_video(connection, video_id, after=after, limit=limit)


def attempts(ctx: Context, caller: Caller, video_id: str) -> list[Attempt]:
    """How a video was submitted, in order.

    Raises:
        NotFound: no such video of this user.
    """
    videos.load(ctx, caller, video_id)
    with ctx.database.statement() as connection:
        return attempt_rows.of_video(connection, video_id)


def family(ctx: Context, caller: Caller, video_id: str) -> list[Video]:
    """A video with all that it was made from, and all that was made from those: remixes, edits,
    extensions and retries, oldest first. Deleted ones are left out, not what came from them.

    Raises:
        NotFound: no such video of this user.
    """
    videos.load(ctx, caller, video_id)
    with ctx.database.statement() as connection:
        return video_rows.family(connection, video_id, limit=FAMILY)


def recent(
    ctx: Context,
    user_id: str | None,
    *,
    types: Sequence[str] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Event]:
    """What happened to the videos of a user (None: of everybody), newest first."""
    with ctx.database.statement() as connection:
        return rows.of_user(connection, user_id, types=types, before=before, limit=limit)


def throughput(ctx: Context, *, minutes: int) -> Sequence[Minute]:
    """What was asked for and what ended in each of the last minutes, of all users, oldest first."""
    with ctx.database.statement() as connection:
        return traffic.minutes(connection, minutes)


def downloaded(
    ctx: Context, video_id: str, *, ip: str | None, user_agent: str | None, variant: str = "video"
) -> None:
    """Note a download. Never fails: a lost note harms nobody, a refused download would."""
    # What a client says of itself may be long, or nothing that PostgreSQL's text can hold.
    agent = "".join(filter(str.isprintable, (user_agent or "")[:500])) or None
    data = {"ip": ip, "user_agent": agent, "variant": variant}
    try:
        with ctx.database.statement() as connection:
            rows.audit(connection, video_id, EventType.DOWNLOADED, data)
    except OrchestratorError:
        log.warning("audit_event_lost", video_id=video_id, event_type=EventType.DOWNLOADED)
