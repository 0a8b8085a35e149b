"""What may go, in bounded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.records import Video


def expired_content(connection: Connection, *, deleted_days: float, limit: int) -> list[Video]:
    """Videos whose bytes are no longer owed to anybody: deleted long enough ago, or past their
    `expires_at`.
    """
    rows = connection.execute(
        video_query(
            f"""
            (select {VIDEO} from videos v where v.status = 'deleted' and v.purged_at is null
               and v.content_key is not null and v.deleted_at < now() - make_interval(secs =>
                 :deleted)
             order by v.deleted_at limit :limit)
            union all
            (select {VIDEO} from videos v where v.expires_at < now() and v.purged_at is null and
            v.status = 'completed'
             order by v.expires_at limit :limit)
            """
        ),
        {"deleted": deleted_days * 86_400, "limit": limit},
    )
    return to_videos(rows)


def inputs_in_use(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Which of these keys some video still needs or remembers."""
    rows = connection.execute(
        text("select distinct input_key from videos where input_key = any(:keys)"),
        {"keys": list(keys)},
    )
    return set(rows.scalars())


def content_in_use(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Which of these storage keys a video's row names."""
    rows = connection.execute(
        text(
            "select k from unnest(cast(:keys as text[])) k join videos v on v.id = "
            "split_part(k, '/', 2) collate \"C\" "
            "where k in (v.content_key, v.thumbnail_key, v.spritesheet_key) and v.purged_at is null"
        ),
        {"keys": list(keys)},
    )
    return set(rows.scalars())


def forget_keys(connection: Connection, *, days: float, limit: int) -> int:
    """Drop old idempotency keys. Returns how many."""
    return connection.execute(
        text(
            "delete from idempotency_keys where ctid = any(array(select ctid from "
            "idempotency_keys where created_at < now() - make_interval(secs => :age) "
            "order by created_at limit :limit))"
        ),
        {"age": days * 86_400, "limit": limit},
    ).rowcount


def prune_events(connection: Connection, *, days: float, after: str, limit: int) -> tuple[int, str]:
    """Of the next `limit` old events, drop those of videos that are over. Returns how many went,
    and where to go on (`after`; "": from the beginning, all were seen).

    Videos may wait for longer than that, with events that stay: a round goes on behind them.
    """
    row = connection.execute(
        text(
            """
            with e as (
              select id, video_id, created_at from video_events
              where created_at < now() - make_interval(secs => :age)
                and created_at > cast(coalesce(nullif(:after, ''), '-infinity') as timestamptz)
              order by created_at, id limit :limit),
            d as (
              delete from video_events where id = any(array(select e.id from e
                join videos v on v.id = e.video_id where v.finished_at is not null))
              returning 1)
            select (select count(*) from d), (select count(*) from e),
              (select cast(max(created_at) as text) from e)
            """
        ),
        {"age": days * 86_400, "after": after, "limit": limit},
    ).one()
    return int(row[0]), row[2] if row[1] == limit else ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a page of old videos: these are gone, of so many others the bytes may go now,
    and there the next page begins ("": this was the last one).
    """

    video_ids: tuple[str, ...]
    expired: int
    place: str


# PostgreSQL keeps the plans of what it deletes in passing (attempts, events, deliveries) with the
# connection: one that was made while a table was small would read all of it for each video.
_BY_INDEX = text("select set_config('enable_seqscan', 'off', true)")
_PRUNE = text(
    """
    with page as (
      select id from videos where id > :after and id < :before order by id limit :limit),
    -- Those that ended before anybody wished videos to go: the bytes first, by the usual way.
    expired as (
      update videos v set expires_at = now() from page p
      where v.id = p.id and v.status = 'completed' and v.purged_at is null
        and (v.expires_at is null or v.expires_at > now())
        and v.finished_at < now() - make_interval(secs => :age)
      returning 1),
    over as (
      select v.id from page p join videos v on v.id = p.id
      where v.finished_at < now() - make_interval(secs => :age)
        and v.updated_at < now() - make_interval(secs => :quiet)
        and (v.content_key is null or v.purged_at is not null)
        and v.quota_state <> 'reserved'
        and not exists (select 1 from attempts a where a.video_id = v.id
          and (a.ended_at is null or a.due_at is not null))
        and not exists (select 1 from deliveries d where d.video_id = v.id and d.state = 'pending')
        -- Who makes one of it needs its provider's id.
        and not exists (select 1 from videos r where r.remixed_from_video_id = v.id
          and r.step is not null)
      order by v.id for update of v skip locked),
    gone as (delete from videos v using over o where v.id = o.id returning v.id)
    select array(select id from gone), (select count(*) from expired), (select count(*) from page),
      (select max(id) from page)
    """
)


def prune_videos(
    connection: Connection, *, days: float, quiet: float, after: str, before: str, limit: int
) -> Pruned:
    """Of the next `limit` videos with ids between `after` and `before`, drop those that ended
    `days` ago, with all that belongs to them, and let the bytes of the others expire.

    One stays while it has bytes, something about it is unsettled, undelivered or still needed, or
    anything has happened to it in the last `quiet` days.
    """
    connection.execute(_BY_INDEX)
    row = connection.execute(
        _PRUNE,
        {
            "age": days * 86_400,
            "quiet": quiet * 86_400,
            "after": after,
            "before": before,
            "limit": limit,
        },
    ).one()
    return Pruned(tuple(row[0]), int(row[1]), row[3] if row[2] == limit else "")
