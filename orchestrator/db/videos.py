"""Reads of `videos`, and the small writes that change nothing of a video's life."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    desc,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
)

from orchestrator.db.prepared import often
from orchestrator.db.rows import to_videos
from orchestrator.db.tables import videos
from orchestrator.lifecycle import Status
from orchestrator.records import Video

_QUERIES = 512


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of a user's videos. None: whatever; deleted ones only when asked for by status."""

    status: tuple[str, ...] = ()
    model: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None
    archived: bool | None = False


_GET = often(select(videos).where(videos.c.id == bindparam("id")))


def get(connection: Connection, video_id: str) -> Video | None:
    """One video by its id, whoever's it is."""
    row = connection.execute(_GET, {"id": video_id}).one_or_none()
    return None if row is None else Video(*row)


def fetched(connection: Connection, video_id: str) -> None:
    """Note that the client of this video has got to know it."""
    connection.execute(
        text(
            "update videos set first_fetched_at = now() where id = :id and first_fetched_at is null"
        ),
        {"id": video_id},
    )


def lock(connection: Connection, video_id: str) -> Video | None:
    """One video, locked until the transaction ends: what is decided from it stays true."""
    row = connection.execute(
        select(videos).where(videos.c.id == video_id).with_for_update()
    ).one_or_none()
    return None if row is None else Video(*row)


def get_many(connection: Connection, video_ids: Sequence[str]) -> dict[str, Video]:
    """Videos by their ids; those that do not exist are missing."""
    rows = connection.execute(select(videos).where(videos.c.id.in_(video_ids)))
    return {video.id: video for video in to_videos(rows)}


def family(connection: Connection, video_id: str, *, limit: int) -> list[Video]:
    """A video with all that it came from and all that came from those, oldest first; deleted ones
    are followed and left out. A chain is followed for 100 links.
    """
    found = connection.scalars(
        text(
            "with recursive up as (select id, coalesce(retry_of, remixed_from_video_id) as source, "
            "1 as n from videos where id = :id union all "
            "select v.id, coalesce(v.retry_of, v.remixed_from_video_id), up.n + 1 "
            "from up join videos v on v.id = up.source where up.n < 100), "
            "down as ((select id, 1 as n from up order by up.n desc limit 1) union all "
            "select child.id, down.n + 1 from down cross join lateral ("
            "select id from videos where retry_of = down.id union all "
            "select id from videos where remixed_from_video_id = down.id and retry_of is null"
            ") child where down.n < 100) select id from down limit :limit"
        ),
        {"id": video_id, "limit": limit},
    ).all()
    query = (
        select(videos)
        .where(videos.c.id.in_({*found, video_id}), videos.c.status != Status.DELETED)
        .order_by(videos.c.created_at, videos.c.id)
    )
    return to_videos(connection.execute(query))


def page(
    connection: Connection,
    user_id: str | None,
    filters: Filters,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
    ascending: bool = False,
) -> list[Video]:
    """Videos in the order of their creation (newest first), `limit` at most, behind the key `after`
    (created_at, id).

    Args:
        user_id: None means everybody's.
    """
    values = _values(user_id, filters, after)
    query = _page(frozenset(values), filters.status, filters.archived, ascending)
    return to_videos(connection.execute(query, {**values, "limit": limit}).all())


# To put a query together takes longer than to run it, and there are few of them.
@lru_cache(_QUERIES)
def _page(
    given: frozenset[str], status: tuple[str, ...], archived: bool | None, ascending: bool
) -> Select[Any]:
    """The query for a page where these values are given."""
    # Each status has its place in an index. A query for several of them would rather walk through
    # all that its user ever made.
    apart = "user_id" in given and len(status) > 1
    beyond = _beyond(ascending) if "last_id" in given else ()
    each = [
        _ordered(videos, ascending)
        .where(*_conditions(given, one, archived), *beyond)
        .limit(bindparam("limit"))
        for one in ([(one,) for one in dict.fromkeys(status)] if apart else [status])
    ]
    if len(each) > 1:
        together = union_all(*(select(one.subquery()) for one in each)).subquery()
        return _ordered(together, ascending).limit(bindparam("limit"))
    # Whoever filters could think of hundreds, and each connection would keep a plan of each.
    return often(each[0]) if given <= _UNFILTERED and len(status) < 2 else each[0]


def _ordered(source: FromClause, ascending: bool) -> Select[Any]:
    key = (source.c.created_at, source.c.id)
    return select(source).order_by(*(key if ascending else map(desc, key)))


def _beyond(ascending: bool) -> tuple[Any, ...]:
    created, ident = videos.c.created_at, videos.c.id
    last = bindparam("last_created", type_=created.type)
    last_id = bindparam("last_id", type_=ident.type)
    if ascending:
        return created >= last, or_(created > last, and_(created == last, ident > last_id))
    return created <= last, or_(created < last, and_(created == last, ident < last_id))


_COMPARED = {
    "user_id": videos.c.user_id == bindparam("user_id"),
    "model": videos.c.model == bindparam("model"),
    "created_after": videos.c.created_at > bindparam("created_after"),
    "created_before": videos.c.created_at < bindparam("created_before"),
    "q": videos.c.prompt.icontains(bindparam("q"), escape="/"),
}
_UNFILTERED = frozenset({"user_id", "last_created", "last_id"})


def _values(
    user_id: str | None, filters: Filters, after: tuple[datetime, str] | None = None
) -> dict[str, Any]:
    """What videos are compared with, by name. What nobody asked for is missing."""
    last_created, last_id = after or (None, None)
    values = {
        "user_id": user_id,
        "model": filters.model,
        "created_after": filters.created_after,
        "created_before": filters.created_before,
        "q": re.sub("[/%_]", r"/\g<0>", filters.q) if filters.q else None,
        "last_created": last_created,
        "last_id": last_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _conditions(
    given: Collection[str], status: tuple[str, ...], archived: bool | None
) -> list[Any]:
    conditions = [condition for name, condition in _COMPARED.items() if name in given]
    if len(status) == 1:
        conditions.append(videos.c.status == status[0])
    elif status:
        conditions.append(videos.c.status.in_(status))
    else:
        conditions.append(videos.c.status != Status.DELETED)
    if archived is not None:
        at = videos.c.archived_at
        conditions.append(at.is_not(None) if archived else at.is_(None))
    return conditions


def pending(connection: Connection, *, limit: int) -> list[Video]:
    """What is not finished yet, oldest first."""
    query = (
        select(videos)
        .where(videos.c.finished_at.is_(None))
        .order_by(videos.c.created_at, videos.c.id)
        .limit(limit)
    )
    return to_videos(connection.execute(query))


@dataclass(frozen=True, slots=True)
class Stats:
    """How many videos a user has, by what they are, and what was spent (US dollars)."""

    total: int
    queued: int
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    archived: int
    spend: Decimal


def stats(connection: Connection, user_id: str | None) -> Stats:
    """Counts and spend of a user (None: of everybody). Deleted videos count in the spend only."""
    row = connection.execute(
        text(
            "select count(*) filter (where status <> 'deleted'), count(*) filter (where status "
            "= 'queued'), "
            "count(*) filter (where status = 'in_progress'), count(*) filter (where status = "
            "'completed'), "
            "count(*) filter (where status = 'failed'), count(*) filter (where status = "
            "'cancelled'), "
            "count(*) filter (where archived_at is not null and status <> 'deleted'), "
            "coalesce(sum(cost_actual), 0) "
            "from videos where cast(:user_id as text) is null or user_id = :user_id"
        ),
        {"user_id": user_id},
    ).one()
    return Stats(*row)


def retryable(
    connection: Connection,
    user_id: str | None,
    filters: Filters,
    *,
    statuses: Sequence[str],
    except_codes: Sequence[str],
    limit: int,
) -> list[Video]:
    """Videos of these statuses that were never retried, without those of some error codes."""
    again = videos.alias("again")
    values = _values(user_id, filters)
    query = (
        select(videos)
        .where(*_conditions(values, tuple(statuses), filters.archived))
        .where(func.coalesce(videos.c.error_code, "").not_in(except_codes))
        .where(~exists().where(again.c.retry_of == videos.c.id))
        .order_by(desc(videos.c.created_at), desc(videos.c.id))
        .limit(limit)
    )
    return to_videos(connection.execute(query, values))
