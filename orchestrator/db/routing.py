"""Moving waiting videos from one provider to another."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.records import Video

# Nobody can have accepted it.
_FREE = (
    "not exists (select 1 from attempts a where a.video_id = v.id "
    "and (a.unknown_at is not null or a.ended_at is null))"
)
_BACKLOG = (
    "v.candidates is not null and v.status = 'queued' and v.admitted_at is null "
    "and not v.snoozed and v.provider = :provider and v.account = :account"
)
_MOVABLE = f"""
with recursive t as (
  (select v.user_id from videos v where {_BACKLOG} and v.model = :model
   order by v.user_id limit 1)
  union all
  select (select v.user_id from videos v where {_BACKLOG} and v.model = :model
            and v.user_id > t.user_id order by v.user_id limit 1)
  from t where t.user_id is not null),
w as (
  select w.id, w.place from t cross join lateral (
    select f.id, row_number() over (order by f.rank_at, f.id) as place
    from (select v.id, v.rank_at from videos v where {_BACKLOG} and v.model = :model
            and v.user_id = t.user_id and v.candidates && cast(:open as text[]) and {_FREE}
          order by v.rank_at, v.id limit greatest(1, :limit / (select count(user_id) from t))) f) w
  where t.user_id is not null order by w.place limit :limit)
select {VIDEO} from w join videos v on v.id = w.id order by w.place, v.rank_at, v.id
"""


def movable(
    connection: Connection,
    provider: str,
    account: str,
    model: str,
    *,
    open_to: Sequence[str],
    limit: int,
) -> list[Video]:
    """Videos in the backlog of an account that one of the providers `open_to` would take, of every
    user about as many. Nothing is locked: `move` looks again.
    """
    rows = connection.execute(
        video_query(_MOVABLE),
        {
            "provider": provider,
            "account": account,
            "model": model,
            "open": list(open_to),
            "limit": limit,
        },
    )
    return to_videos(rows)


def move(
    connection: Connection,
    video_ids: Sequence[str],
    *,
    source: tuple[str, str],
    target: tuple[str, str],
) -> int:
    """Let those of these videos that still wait at the account `source` wait at `target`. Returns
    how many.
    """
    return connection.execute(
        text(
            f"""
            update videos u set provider = :to_provider, account = :to_account from (
              select v.id from videos v where v.id = any(:ids) and {_BACKLOG} and {_FREE}
              order by v.id for update of v skip locked) d
            where u.id = d.id
            """
        ),
        {
            "ids": list(video_ids),
            "provider": source[0],
            "account": source[1],
            "to_provider": target[0],
            "to_account": target[1],
        },
    ).rowcount
