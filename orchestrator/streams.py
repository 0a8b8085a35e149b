"""What a reader of a stream is told next: a snapshot, what happened since, or that something was
missed. How it gets there is the business of `feeds` and of who carries them.

A place is where a reader stands. Many places are looked at in a few statements, and readers who
stand at the same place are told the same.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from orchestrator import videos, views
from orchestrator.context import Context
from orchestrator.db import streams as rows
from orchestrator.db import videos as video_rows
from orchestrator.db.engine import Connection
from orchestrator.errors import InvalidRequest
from orchestrator.lifecycle import TERMINAL, EventType, Status
from orchestrator.records import Caller, Event

AT_ONCE = 100
"""Events of one piece of news, and videos of a user's snapshot."""
ENDS = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED, EventType.DELETED})
"""After one of these the stream of a video is over."""
# An event carries the time at which its transaction began, which is a little before its turn.
_SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class VideoPlace:
    """In the stream of a video: behind the event `seq`; None: at its beginning, which is a
    snapshot. `missed`: what comes next does not follow on what the reader knows.
    """

    video_id: str
    seq: int | None
    missed: bool = False


@dataclass(frozen=True, slots=True)
class UserPlace:
    """In the stream of a user: behind the event `id` of the transaction `xid`, written at `at`
    (seconds since 1970). `xid` None: at its beginning.
    """

    user_id: str
    xid: int | None
    id: int = 0
    at: int = 0
    missed: bool = False

    @property
    def cursor(self) -> str:
        """The place as clients name it."""
        plain = f"{self.xid}.{self.id}.{self.at}"
        return urlsafe_b64encode(plain.encode()).decode().rstrip("=")


Place: TypeAlias = VideoPlace | UserPlace


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. `cursor`: the place of whoever has got it."""

    event: str
    data: Mapping[str, Any]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What readers at one place are told next, and where they stand then.

    over: nothing will follow.
    more: there is more already; do not wait for a wake.
    unsettled: there is more, but a transaction that began earlier is still running, and its events
    come first: look again soon.
    """

    messages: tuple[Message, ...]
    place: Place
    over: bool = False
    more: bool = False
    unsettled: bool = False

    @property
    def only_progress(self) -> bool:
        """Whether it can wait a little, since the next progress would replace it."""
        return all(message.event == EventType.PROGRESS for message in self.messages)


def enter_video(
    ctx: Context, caller: Caller, video_id: str, cursor: str | None
) -> VideoPlace | None:
    """The place in a video's stream that a cursor names; None: the stream is over there.

    Raises:
        NotFound: no such video of this user.
        InvalidRequest: the cursor is none.
    """
    video = videos.load(ctx, caller, video_id)
    if cursor is None:
        return VideoPlace(video_id, None)
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 9:
        raise _no_cursor("the number of an event")
    place = VideoPlace(video_id, int(cursor))
    if video.status not in TERMINAL or int(cursor) > video.seq:
        return place
    with ctx.database.statement() as connection:
        news = _video_news(connection, {place})
    # What comes behind the end (a charge, say) is in the history; nobody waits for it.
    return place if place in news and news[place].over else None


def enter_user(ctx: Context, user_id: str, cursor: str | None) -> UserPlace:
    """The place in a user's stream that a cursor names.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    if cursor is None:
        return UserPlace(user_id, None)
    place = _parsed(user_id, cursor)
    days = ctx.settings.events_kept_days
    kept_since = 0.0
    if days is not None:
        kept_since = (datetime.now(UTC) - timedelta(days=days) + _SLACK).timestamp()
    with ctx.database.statement() as connection:
        horizon = rows.horizon(connection)
    # A transaction that this database has yet to see: it was set back to an earlier state.
    set_back = place.xid is not None and place.xid > horizon
    return replace(place, missed=set_back or place.at < kept_since)


def read(ctx: Context, places: Collection[Place]) -> dict[Place, News]:
    """What is new at each of these places; those at which nothing is are missing.

    Raises:
        DependencyDown: PostgreSQL does not answer.
    """
    news: dict[Place, News] = {}
    with ctx.database.statement() as connection:
        news.update(_video_news(connection, [p for p in places if isinstance(p, VideoPlace)]))
        news.update(_user_news(connection, [p for p in places if isinstance(p, UserPlace)]))
    return news


def _video_news(connection: Connection, places: Collection[VideoPlace]) -> dict[Place, News]:
    news: dict[Place, News] = {}
    snapshots = {place: place.missed for place in places if place.seq is None or place.missed}
    standing = {(p.video_id, p.seq): p for p in places if p.seq is not None and not p.missed}
    found = rows.of_videos(connection, list(standing), limit=AT_ONCE) if standing else {}
    for (video_id, seq), events in found.items():
        place = standing[video_id, seq]
        if events and events[0].seq == seq + 1:
            news[place] = _history(place, events)
        else:
            snapshots[place] = True
    present = video_rows.get_many(connection, [p.video_id for p in snapshots]) if snapshots else {}
    for place, missed in snapshots.items():
        video = present.get(place.video_id)
        if video is None or video.status == Status.DELETED:
            news[place] = News((), place, over=True)
            continue
        snapshot = Message("snapshot", views.video(video), str(video.seq))
        news[place] = News(
            (*_reset(missed), snapshot),
            VideoPlace(place.video_id, video.seq),
            over=video.status in TERMINAL,
        )
    return news


def _history(place: VideoPlace, events: Sequence[Event]) -> News:
    ends = [n for n, event in enumerate(events, 1) if event.event_type in ENDS]
    told = events[: ends[0]] if ends else events
    return News(
        tuple(Message(e.event_type, views.event(e), str(e.seq)) for e in _drawn_together(told)),
        VideoPlace(place.video_id, told[-1].seq),
        over=bool(ends),
        more=len(events) == AT_ONCE,
    )


def _user_news(connection: Connection, places: Collection[UserPlace]) -> dict[Place, News]:
    news: dict[Place, News] = {}
    fresh = [place for place in places if place.xid is None or place.missed]
    if fresh:
        news.update(_user_snapshots(connection, fresh))
    standing = [place for place in places if place not in news]
    asked = [(place.user_id, place.xid or 0, place.id) for place in standing]
    found = rows.of_users(connection, asked, limit=AT_ONCE) if asked else {}
    for n, told in found.items():
        place = standing[n]
        settled = [one for one in told if one.settled]
        cursors = {one.event.id: _behind(one) for one in settled}
        news[place] = News(
            tuple(
                Message(event.event_type, views.event(event), cursors[event.id].cursor)
                for event in _drawn_together([one.event for one in settled])
            ),
            cursors[settled[-1].event.id] if settled else place,
            more=len(settled) == AT_ONCE,
            unsettled=len(settled) < len(told),
        )
    return news


def _user_snapshots(connection: Connection, places: Sequence[UserPlace]) -> dict[Place, News]:
    # The horizon comes first: whatever ended below it is in the snapshot, the rest is told after.
    horizon = rows.horizon(connection)
    now = int(datetime.now(UTC).timestamp())
    found = rows.unfinished(connection, {p.user_id for p in places}, limit=AT_ONCE + 1)
    news: dict[Place, News] = {}
    for place in places:
        live = found.get(place.user_id, [])
        start = UserPlace(place.user_id, horizon, 0, now)
        data = {
            "object": "snapshot",
            "videos": [views.video(video) for video in live[:AT_ONCE]],
            "has_more": len(live) > AT_ONCE,
        }
        snapshot = Message("snapshot", data, start.cursor)
        news[place] = News((*_reset(place.missed), snapshot), start)
    return news


def _behind(told: rows.Told) -> UserPlace:
    event = told.event
    return UserPlace(event.user_id, told.xid, event.id, int(event.created_at.timestamp()))


def _drawn_together(events: Sequence[Event]) -> Iterable[Event]:
    """Of the progress of one video only the last; everything else."""
    last = {e.video_id: e.id for e in events if e.event_type == EventType.PROGRESS}
    return [e for e in events if e.event_type != EventType.PROGRESS or last[e.video_id] == e.id]


def _reset(missed: bool) -> tuple[Message, ...]:
    if not missed:
        return ()
    text = "Events were removed since; what follows is the present state."
    return (Message("reset", {"object": "reset", "message": text}),)


def _parsed(user_id: str, cursor: str) -> UserPlace:
    try:
        plain = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        xid, event_id, at = (int(part) for part in plain.split("."))
    except ValueError:
        raise _no_cursor("the id of an event of this stream") from None
    if not (0 <= xid < 2**63 and 0 <= event_id < 2**63 and 0 <= at < 2**33):
        raise _no_cursor("the id of an event of this stream")
    return UserPlace(user_id, xid, event_id, at)


def _no_cursor(allowed: str) -> InvalidRequest:
    return InvalidRequest(f"Last-Event-ID (or after) must be {allowed}.", param="after")
