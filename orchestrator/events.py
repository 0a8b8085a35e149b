"""The history of videos: read it, and add what nobody needs to be certain of."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from orchestrator import videos
from orchestrator.context import Context
from orchestrator.db import events as rows
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import EventType
from orchestrator.records import Caller, Event

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
