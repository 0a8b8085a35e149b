"""What many readers of streams have not been told yet, for all of them in one statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Connection, Integer, Text, column, text

from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.db.tables import video_events
from orchestrator.records import Event, Video

_NAMES = ("id", "video_id", "event_type", "event_data", "created_at", "seq", "user_id")
_EVENT = ", ".join(f"e.{name}" for name in _NAMES)
_RESULT = tuple(video_events.columns[name] for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the transaction that wrote it. `settled`: no transaction that began earlier is
    still running, so nothing can come up before it any more.
    """

    event: Event
    xid: int
    settled: bool


def of_videos(
    connection: Connection, places: Sequence[tuple[str, int]], *, limit: int
) -> dict[tuple[str, int], list[Event]]:
    """For each (video id, seq) that is not the newest of its video: the events behind it, at most
    `limit`. An empty list: the video is gone, or has no such events.
    """
    rows = connection.execute(
        text(
            f"select w.id, w.seq, {_EVENT} "
            "from unnest(cast(:ids as text[]), cast(:seqs as integer[])) w(id, seq) "
            "left join videos v on v.id = w.id "
            "left join lateral (select * from video_events x where x.video_id = w.id "
            "and x.seq > w.seq order by x.seq limit :limit) e on true "
            "where v.seq is distinct from w.seq order by e.seq"
        ).columns(column("place_id", Text), column("place_seq", Integer), *_RESULT),
        {"ids": [i for i, _ in places], "seqs": [seq for _, seq in places], "limit": limit},
    )
    found: dict[tuple[str, int], list[Event]] = {}
    for video_id, seq, *row in rows:
        events = found.setdefault((video_id, seq), [])
        if row[0] is not None:
            events.append(Event(*row))
    return found


def of_users(
    connection: Connection, places: Sequence[tuple[str, int, int]], *, limit: int
) -> dict[int, list[Told]]:
    """For each (user id, xid, id), by its number in the list: the events behind it in the order of
    (xid, id), at most `limit`.
    """
    rows = connection.execute(
        text(
            f"select w.n, e.xid, e.xid < pg_snapshot_xmin(pg_current_snapshot()), {_EVENT} "
            "from unnest(cast(:users as text[]), cast(:xids as text[]), cast(:ids as bigint[])) "
            "with ordinality w(user_id, xid, id, n) "
            "cross join lateral (select * from video_events x where x.user_id = w.user_id "
            "and (x.xid, x.id) > (cast(w.xid as xid8), w.id) and x.seq is not null "
            "order by x.xid, x.id limit :limit) e order by w.n, e.xid, e.id"
        ).columns(
            column("n", BigInteger), column("xid", Text), column("settled", Boolean), *_RESULT
        ),
        {
            "users": [user for user, _, _ in places],
            "xids": [str(xid) for _, xid, _ in places],
            "ids": [i for _, _, i in places],
            "limit": limit,
        },
    )
    found: dict[int, list[Told]] = {}
    for n, xid, settled, *row in rows:
        found.setdefault(n - 1, []).append(Told(Event(*row), int(xid), settled))
    return found


def horizon(connection: Connection) -> int:
    """The transaction id below which everything has ended."""
    return int(
        connection.execute(
            text("select cast(pg_snapshot_xmin(pg_current_snapshot()) as text)")
        ).scalar_one()
    )


def unfinished(
    connection: Connection, user_ids: Collection[str], *, limit: int
) -> dict[str, list[Video]]:
    """The videos of each of these users that are under way, newest first, at most `limit` each."""
    rows = connection.execute(
        video_query(
            f"select {VIDEO} from unnest(cast(:users as text[])) w(user_id) "
            "cross join lateral (select * from videos x where x.user_id = w.user_id "
            "and x.status in ('queued', 'in_progress') "
            "order by x.created_at desc, x.id desc limit :limit) v"
        ),
        {"users": list(user_ids), "limit": limit},
    )
    found: dict[str, list[Video]] = {}
    for video in to_videos(rows):
        found.setdefault(video.user_id, []).append(video)
    return found


def counting_keys(connection: Connection, key_ids: Collection[str]) -> set[str]:
    """Which of these API keys are neither revoked nor expired."""
    rows = connection.execute(
        text(
            "select id from api_keys where id = any(:ids) and revoked_at is null "
            "and (expires_at is null or expires_at > now())"
        ),
        {"ids": list(key_ids)},
    )
    return {key_id for (key_id,) in rows}
