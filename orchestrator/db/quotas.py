"""`user_quotas`: reserve, settle, read, change. A month that is over counts as not used, before
anybody resets it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db.prepared import often
from orchestrator.lifecycle import QuotaState
from orchestrator.policies import default_videos_limit
from orchestrator.records import Quota, Video

_NEXT_MONTH = (
    "((date_trunc('month', now() at time zone 'UTC') + interval '1 month') at time zone 'UTC')"
)
_COLUMNS = (
    "user_id, case when now() >= reset_at then 0 else videos_created end, videos_limit, "
    f"case when now() >= reset_at then {_NEXT_MONTH} else reset_at end, created_at, updated_at, "
    "case when now() >= reset_at then now() else period_started_at end, weight, max_in_flight, "
    "case when now() >= reset_at then 0 else cost_used end, cost_limit"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many videos at that cost (US dollars, together), for one user."""

    user_id: str
    videos: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Reserved:
    """A granted reservation and what its videos must remember of it."""

    user_id: str
    period_started_at: datetime
    max_in_flight: int | None


def reserve(connection: Connection, wanted: Sequence[Wanted]) -> dict[str, Reserved]:
    """Reserve for several users at once, each wholly or not at all; users that are missing in the
    answer were refused.

    One guarded UPDATE with the monthly reset folded in. Rows are locked in the order of their user,
    so that two batches cannot wait for each other.
    """
    granted = _reserve(connection, wanted)
    strangers = [want for want in wanted if want.user_id not in granted]
    if strangers:
        # Whether the row was missing cannot be asked: somebody else may just have written it, and
        # then its first reservation must not be refused.
        _welcome(connection, strangers)
        granted |= _reserve(connection, strangers)
    return granted


HELD = """
    select q.user_id, now() >= q.reset_at as over, w.videos, w.cost from user_quotas q
      join want w on w.user_id = q.user_id collate "C"
    where {condition} order by q.user_id for update of q
"""
RESERVED = f"""
    update user_quotas q set
      videos_created = case when h.over then 0 else q.videos_created end + h.videos,
      cost_used = case when h.over then 0 else q.cost_used end + h.cost,
      period_started_at = case when h.over then now() else q.period_started_at end,
      reset_at = case when h.over then {_NEXT_MONTH} else q.reset_at end,
      updated_at = now()
    from held h where q.user_id = h.user_id
      and case when h.over then 0 else q.videos_created end + h.videos <= q.videos_limit
      and (q.cost_limit is null
           or case when h.over then 0 else q.cost_used end + h.cost <= q.cost_limit)
    returning q.user_id, q.period_started_at, q.max_in_flight
"""
"""How quotas are reserved: `held` locks those of the users of `want` (user_id, videos, cost)."""
# Arrays tell the planner how many users there are; of JSON it expects a hundred, and reads the
# whole table for one.
_RESERVE = often(
    text(
        f"""
    with want as (select * from unnest(cast(:users as text[]), cast(:videos as integer[]),
                    cast(:costs as numeric[])) as w(user_id, videos, cost)),
    held as ({HELD.format(condition="true")})
    {RESERVED}
    """
    )
)
_WELCOME = text(
    f"""
    insert into user_quotas (user_id, videos_limit, reset_at)
    select u.user_id, u.videos_limit, {_NEXT_MONTH}
    from jsonb_to_recordset(cast(:users as jsonb)) as u(user_id text, videos_limit integer)
    order by u.user_id on conflict (user_id) do nothing
    """
)
_LOCK = text(
    f"select {_COLUMNS} from user_quotas where user_id = any(:users) order by user_id for update"
)


def _reserve(connection: Connection, wanted: Sequence[Wanted]) -> dict[str, Reserved]:
    values = {
        "users": [want.user_id for want in wanted],
        "videos": [want.videos for want in wanted],
        "costs": [want.cost for want in wanted],
    }
    return {row[0]: Reserved(*row) for row in connection.execute(_RESERVE, values)}


def _welcome(connection: Connection, strangers: Sequence[Wanted]) -> None:
    """Give those of these users that we have never seen their row."""
    rows = [
        {"user_id": s.user_id, "videos_limit": default_videos_limit(s.user_id)} for s in strangers
    ]
    connection.execute(_WELCOME, {"users": json.dumps(rows)})


def lock(connection: Connection, user_ids: Sequence[str]) -> dict[str, Quota]:
    """The quotas of these users as of now, which nobody else changes until the transaction ends.
    Call after `reserve`, which has given each of them a row.
    """
    rows = connection.execute(_LOCK, {"users": list(user_ids)})
    return {row[0]: Quota(*row) for row in rows}


_SETTLE = often(
    text(
        """
    with done as (select d.user_id, d.period, sum(d.back) as back, sum(d.change) as change
        from unnest(cast(:users as text[]), cast(:periods as timestamptz[]),
          cast(:backs as integer[]), cast(:changes as numeric[]))
          as d(user_id, period, back, change) group by 1, 2),
    held as (select q.user_id, d.back, d.change from user_quotas q join done d
        on q.user_id = d.user_id collate "C" and q.period_started_at = d.period
        order by q.user_id for update of q)
    update user_quotas q set videos_created = q.videos_created - h.back,
      cost_used = q.cost_used + h.change, updated_at = now()
    from held h where q.user_id = h.user_id
    """
    )
)


def settle(connection: Connection, videos: Sequence[Video]) -> None:
    """Turn the reservations of these videos into what they came to: call once for each, when its
    quota_state has just left `reserved`.
    """
    values = {
        "users": [video.user_id for video in videos],
        "periods": [video.quota_period for video in videos],
        "backs": [int(video.quota_state == QuotaState.RELEASED) for video in videos],
        "changes": [video.cost_actual - video.cost_estimated for video in videos],
    }
    connection.execute(_SETTLE, values)


def charge(connection: Connection, video: Video, cost: Decimal) -> None:
    """Book what a provider charged after the video's reservation was settled."""
    connection.execute(
        text(
            "update user_quotas set cost_used = cost_used + :cost, updated_at = now() "
            "where user_id = :user_id and period_started_at = :period"
        ),
        {"user_id": video.user_id, "period": video.quota_period, "cost": cost},
    )


def get(connection: Connection, user_id: str) -> Quota | None:
    """The user's quota as of now; None for a user that never asked for anything."""
    row = connection.execute(
        text(f"select {_COLUMNS} from user_quotas where user_id = :user_id"),
        {"user_id": user_id},
    ).one_or_none()
    return None if row is None else Quota(*row)


def page(connection: Connection, *, after: str | None, limit: int) -> list[Quota]:
    """Quotas as of now, in the order of their users, behind the user `after`."""
    rows = connection.execute(
        text(
            f"select {_COLUMNS} from user_quotas where user_id > :after order by user_id "
            "limit :limit"
        ),
        {"after": after or "", "limit": limit},
    )
    return [Quota(*row) for row in rows]


def ensure(connection: Connection, user_id: str) -> Quota:
    """The user's quota as of now, with the defaults if there was none."""
    quota = get(connection, user_id)
    if quota is None:
        _welcome(connection, [Wanted(user_id, 0, Decimal(0))])
        quota = get(connection, user_id)
    if quota is None:
        raise RuntimeError("a quota that was just written cannot be read")
    return quota


def change(connection: Connection, user_id: str, values: Mapping[str, Any]) -> Quota:
    """Set limits of a user: videos_limit, cost_limit, max_in_flight, weight; creates the row."""
    allowed = {"videos_limit", "cost_limit", "max_in_flight", "weight"}
    if not set(values) <= allowed:
        raise KeyError(sorted(set(values) - allowed))
    ensure(connection, user_id)
    sets = "".join(f"{name} = :{name}, " for name in sorted(values))
    connection.execute(
        text(f"update user_quotas set {sets}updated_at = now() where user_id = :user_id"),
        {**values, "user_id": user_id},
    )
    return ensure(connection, user_id)


def reset(connection: Connection, user_id: str) -> Quota:
    """Start the user's month anew, now. Videos of the old period give nothing back to
    the new one.
    """
    ensure(connection, user_id)
    connection.execute(
        text(
            f"update user_quotas set videos_created = 0, cost_used = 0, reset_at = {_NEXT_MONTH}, "
            "period_started_at = clock_timestamp(), updated_at = now() where user_id = :user_id"
        ),
        {"user_id": user_id},
    )
    return ensure(connection, user_id)
