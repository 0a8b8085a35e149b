"""A user's videos: get, list, archive, statistics. Reads come from the cache, then the database,
never from a provider.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from orchestrator import audit, changes, views
from orchestrator.audit import Action
from orchestrator.cache import read_cached
from orchestrator.context import Context
from orchestrator.db import audit as audit_rows
from orchestrator.db import polling, traffic, transitions
from orchestrator.db import videos as rows
from orchestrator.db.engine import Connection
from orchestrator.db.traffic import Queue
from orchestrator.db.transitions import After
from orchestrator.db.videos import Filters as Filters
from orchestrator.db.videos import Stats as Stats
from orchestrator.errors import DependencyDown, InvalidRequest, NotFound
from orchestrator.ids import is_video_id, time_of
from orchestrator.lifecycle import EventType, Status
from orchestrator.records import Caller, Video
from orchestrator.rings import Ring

PAGE = 20
Json = dict[str, Any]
_YOUNG = timedelta(hours=2)


def get(ctx: Context, caller: Caller, video_id: str) -> Json:
    """A video as `views.video` shows it. Rings a poll if what we know of it is old.

    Raises:
        NotFound: no such video of this user.
    """
    body = ctx.cache.get_video(video_id) if is_video_id(video_id) else None
    if body is None:
        row = load(ctx, caller, video_id)
        body = views.video(row)
        ctx.cache.put_video(body)
    elif body["status"] == Status.DELETED or not _may_see(caller, body["user_id"]):
        raise _missing()
    if body["status"] == Status.IN_PROGRESS:
        ask_poll(ctx, video_id)
    return body


def at_hand(ctx: Context, caller: Caller, cached: bytes | None) -> Json | None:
    """A video as `get` would answer with it, from what lies `cached`, if that is all there is to do
    for it: nothing to look up, to ring or to refuse.
    """
    body = read_cached(cached)
    if body is None or body["status"] == Status.DELETED or not _may_see(caller, body["user_id"]):
        return None
    if body["status"] == Status.IN_PROGRESS and not ctx.limits.lately(_poll(body["id"])):
        return None
    return body


def load(ctx: Context, caller: Caller, video_id: str) -> Video:
    """The row of a video that this caller may see and that is not deleted.

    Raises:
        NotFound: there is none.
    """
    row = None
    if is_video_id(video_id):
        with ctx.database.statement() as connection:
            row = rows.get(connection, video_id)
    if row is None or row.status == Status.DELETED or not _may_see(caller, row.user_id):
        raise _missing()
    return row


def ask_poll(ctx: Context, video_id: str) -> None:
    """Make the next look at a running video due now; at most once per video and
    POLL_MIN_SECONDS.
    """
    pause = ctx.settings.poll_min_seconds or 5.0
    if not ctx.limits.once(_poll(video_id), pause):
        return
    with ctx.database.statement() as connection:
        asked = polling.ask(connection, video_id, at_least=pause)
    if asked:
        ctx.broker.ring([Ring("poll", ([video_id],), "poll")])


def _poll(video_id: str) -> str:
    return f"poll:{video_id}"


def fetched(ctx: Context, video: Json) -> None:
    """The client of this video, as `get` shows it, knows its id: its SDK has no reason to try
    again. Best effort, and once while it is young enough for that to matter.
    """
    if datetime.fromisoformat(video["created_at"]) < datetime.now(UTC) - _YOUNG:
        return
    if not ctx.limits.once(f"fetched:{video['id']}", _YOUNG.total_seconds()):
        return
    with suppress(DependencyDown), ctx.database.statement() as connection:
        rows.fetched(connection, video["id"])


@dataclass(frozen=True, slots=True)
class Page:
    """Some videos, and where the next ones start (None: there are no more)."""

    videos: list[Video]
    next_cursor: str | None


def page(
    ctx: Context, caller: Caller, filters: Filters, *, limit: int = PAGE, cursor: str | None = None
) -> Page:
    """The caller's videos, newest first.

    Raises:
        InvalidRequest: the cursor is none of ours, or belongs to a list with other filters.
    """
    after = None if cursor is None else _read_cursor(cursor, filters)
    with ctx.database.statement() as connection:
        found = rows.page(connection, caller.user_id, filters, limit=limit + 1, after=after)
    more = len(found) > limit
    found = found[:limit]
    return Page(found, _cursor(found[-1], filters) if more else None)


def beyond(
    ctx: Context, caller: Caller, after: str | None, *, limit: int, ascending: bool = False
) -> tuple[list[Video], bool]:
    """The caller's videos behind the one with the id `after` (None: from the beginning), archived
    ones too, and whether there are more. That one may be deleted or gone.

    Raises:
        InvalidRequest: `after` is no video's id.
    """
    if limit == 0:
        return [], False
    with ctx.database.statement() as connection:
        place = None if after is None else _place(connection, caller, after)
        found = rows.page(
            connection,
            caller.user_id,
            Filters(archived=None),
            limit=limit + 1,
            after=place,
            ascending=ascending,
        )
    return found[:limit], len(found) > limit


def _place(connection: Connection, caller: Caller, video_id: str) -> tuple[datetime, str]:
    """Where a video stands in lists; of one that is not there its id still tells the time."""
    if not is_video_id(video_id):
        raise InvalidRequest("after must be the id of a video.", param="after")
    row = rows.get(connection, video_id)
    if row is None or not _may_see(caller, row.user_id):
        return time_of(video_id), video_id
    return row.created_at, video_id


def pending(ctx: Context, *, limit: int = 100) -> list[Video]:
    """What is not finished yet, of all users, oldest first."""
    with ctx.database.statement() as connection:
        return rows.pending(connection, limit=limit)


def queue(ctx: Context) -> Queue:
    """How many videos of all users wait, and for how long, and how many are under way."""
    with ctx.database.statement() as connection:
        return traffic.queue(connection)


def clear_cache(ctx: Context, *, by: Caller | None = None) -> int:
    """Empty the cache of videos; returns how many were in it. `by`: who asks for it; None: somebody
    at the command line.
    """
    removed = ctx.cache.clear_videos()
    with ctx.database.statement() as connection:
        audit_rows.write(connection, by, Action.CACHE_CLEARED, "videos", {"removed": removed})
    return removed


def stats(ctx: Context, user_id: str | None) -> Json:
    """Counts by status and the spend of a user; None: of everybody."""
    with ctx.database.statement() as connection:
        found = asdict(rows.stats(connection, user_id))
    return {**found, "spend": views.money(found["spend"])}


def archive(ctx: Context, caller: Caller, video_id: str, *, archived: bool = True) -> Video:
    """Put a video out of the way, or back. Doing it twice changes nothing.

    Raises:
        NotFound: no such video of this user.
    """
    current = load(ctx, caller, video_id)
    event = EventType.ARCHIVED if archived else EventType.UNARCHIVED
    with ctx.database.transaction() as connection:
        changed = transitions.record(
            connection,
            video_id,
            event,
            guard=f"v.archived_at is {'' if archived else 'not'} null and v.status <> 'deleted'",
            values={"archived_at": After(0) if archived else None},
        )
        if changed is not None:
            audit.foreign(connection, caller, Action.VIDEO_ARCHIVED, changed)
    if changed is None:
        return current
    changes.published(ctx, [changed])
    return changed


def _may_see(caller: Caller, user_id: str) -> bool:
    return caller.admin or caller.user_id == user_id


def _missing() -> NotFound:
    return NotFound("There is no such video.")


def _cursor(last: Video, filters: Filters) -> str:
    """Where a page ended, bound to its filters."""
    text = json.dumps([last.created_at.isoformat(), last.id, _bound(filters)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, filters: Filters) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, video_id, bound = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        moment = datetime.fromisoformat(created_at)
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest(
            "cursor is not one that this list has given.", param="cursor"
        ) from None
    if bound != _bound(filters):
        raise InvalidRequest("cursor belongs to a list with other filters.", param="cursor")
    if moment.tzinfo is None or not isinstance(video_id, str) or not is_video_id(video_id):
        raise InvalidRequest("cursor is not one that this list has given.", param="cursor")
    return moment, video_id


def _bound(filters: Filters) -> str:
    return sha256(json.dumps(asdict(filters), default=str).encode()).hexdigest()[:12]
