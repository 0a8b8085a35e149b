"""Plain submissions, whole lots of them in one statement: keys, quotas, room, videos and events.

What `ledger` asks one after the other, to decide for each, is done here on the condition that there
is nothing to decide: every key is new, and every user's quota has room. That spares four of a lot's
nine round trips, each of which costs as much as several of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from orchestrator.db import outbox
from orchestrator.db.arrivals import DECIDED, EVENTS, GIVEN, VIDEOS, arrived, given, sent
from orchestrator.db.prepared import often
from orchestrator.db.quotas import HELD, RESERVED
from orchestrator.db.submissions import ROOM, opening
from orchestrator.records import Video

_GIVEN = {name: kind for name, kind in GIVEN.items() if name != "quota_period"} | {
    "events": "jsonb",
    "place": "integer",
    "free": "boolean",
    "route": "text",
    "key": "text",
}
_ALL_CLAIMED = "(select count(*) from claimed) = (select count(key) from given)"
# Keys first, then quotas, then videos: each waits for the one before, in the order in which all
# others lock them.
_WRITE = f"""
with given as materialized ({given(_GIVEN)}),
claimed as (
  insert into idempotency_keys (user_id, route, key, fingerprint, status_code, video_ids)
  select g.user_id, g.route, g.key, g.fingerprint, 202, array[g.id] from given g
  where g.key is not null order by g.user_id collate "C", g.route, g.key collate "C"
  on conflict do nothing returning 1),
want as (select user_id, cast(count(*) as integer) as videos, sum(cost_estimated) as cost
  from given group by user_id),
held as ({HELD.format(condition=_ALL_CLAIMED)}),
reserved as ({RESERVED}),
granted as (
  select g.*, r.period_started_at as quota_period, g.free and r.max_in_flight is null as may
  from given g join reserved r on r.user_id = g.user_id
  where (select count(*) from reserved) = (select count(*) from want)),
rooms as materialized (
  select a.provider, a.account, {ROOM.format(provider="a.provider", account="a.account")} as room
  from (select distinct provider, account from granted where may) a),
ready as (
  select g.*, g.may and row_number() over (partition by g.provider, g.account, g.may
    order by g.place) <= r.room as admit
  from granted g left join rooms r on r.provider = g.provider and r.account = g.account),
v as ({VIDEOS.format(source="ready")}),
told as ({EVENTS.format(source="granted")})
select {DECIDED}, (select array_agg(id) from ready where admit),
  (select array_agg(user_id order by user_id) from reserved),
  (select array_agg(period_started_at order by user_id) from reserved)
from v
"""


@cache
def _statement(patience: float) -> TextClause:
    return often(text(_WRITE), first=opening(patience))


class Unplain(Exception):
    """Something is to be decided. What was written so far must not be committed."""


def write(
    connection: Connection, rows: Sequence[Mapping[str, Any]], *, patience: float, ahead: int
) -> dict[str, Video]:
    """Write new videos with their keys, reservations and first events; by id.

    Args:
        rows: each has the columns of a new video, `events` as in `submissions.insert`, `free` (no
            limit of its provider is to be looked at before it starts), and `route` and `key`, if it
            has a key. No two have the same one.
        patience: seconds to wait for each lock.
        ahead: how many videos of an account may have started and not yet be picked up.

    Raises:
        Unplain: a key was used before, a quota has no room, or a user is new.
    """
    values = sent([{**row, "place": place} for place, row in enumerate(rows)])
    result = connection.execute(_statement(patience), {**values, "ahead": ahead}).one()
    written, now, wanted, documents, admitted, users, periods = result
    if written < len(rows):
        raise Unplain
    if wanted:
        outbox.queue(connection, wanted, last=max(len(row["events"]) for row in rows))
    started, period = set(admitted or ()), dict(zip(users, periods, strict=True))
    return {
        row["id"]: arrived(
            row,
            now,
            period=period[row["user_id"]],
            admitted=row["id"] in started,
            documents=documents,
        )
        for row in rows
    }
