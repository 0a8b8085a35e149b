"""The write path of a submission: videos and their first events, any number in one statement, and
what has to be asked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db import outbox
from orchestrator.db.arrivals import DECIDED, EVENTS, GIVEN, VIDEOS, arrived, given, sent
from orchestrator.db.prepared import often
from orchestrator.db.rows import VIDEO, video_query
from orchestrator.records import Video

PATIENCE_SECONDS = 5.0


# PostgreSQL plans the check of a foreign key once per connection. A plan that was made while VACUUM
# believed `videos` to be empty reads the whole table for each event, until the next ANALYZE: 6 ms a
# row when there are 6,000.
def opening(patience: float) -> str:
    """What a transaction that writes submissions begins with. `patience`: seconds to wait for a
    lock that somebody else holds.
    """
    return (
        f"select set_config('lock_timeout', '{round(patience * 1000)}', true), "
        "set_config('enable_seqscan', 'off', true)"
    )


def begin(connection: Connection, *, patience: float = PATIENCE_SECONDS) -> None:
    """Call first in such a transaction; see `opening`."""
    connection.execute(text(opening(patience)))


_INSERT = often(
    text(
        f"""
with given as materialized ({given({**GIVEN, "admit": "boolean", "events": "jsonb"})}),
v as ({VIDEOS.format(source="given")}),
told as ({EVENTS.format(source="given")})
select {DECIDED} from v
"""
    )
)


def insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Video]:
    """Write new videos with their first events; by id.

    Each row has the columns of a new video, `admit` (it starts at once) and `events` ([{type,
    data}]).
    """
    if unknown := set().union(*rows) - GIVEN.keys() - {"admit", "events"}:
        raise KeyError(sorted(unknown))
    _, now, wanted, documents = connection.execute(_INSERT, sent(rows)).one()
    if wanted:
        outbox.queue(connection, wanted, last=max(len(row["events"]) for row in rows))
    return {
        row["id"]: arrived(
            row, now, period=row["quota_period"], admitted=row["admit"], documents=documents
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a call of an SDK that tries again by itself.

    Args:
        bit: of `sdk_tries`, that of this try.
        seconds: before now, in which another try can have made its video.
    """

    user_id: str
    api_key_id: str | None
    fingerprint: str
    bit: int
    seconds: float


# In one order, so that two batches cannot wait for each other.
_TAKE_TURNS = text(
    """
    select count(pg_advisory_xact_lock(o.name)) from (
      select distinct hashtextextended(w.user_id || ' ' || w.fingerprint, 0) as name
      from unnest(cast(:user_id as text[]), cast(:fingerprint as text[]))
        as w(user_id, fingerprint)
      order by name) o
    """
)
_ANY_BEFORE = text(
    """
    select w.place from unnest(cast(:user_id as text[]), cast(:fingerprint as text[]),
      cast(:seconds as float8[])) with ordinality as w(user_id, fingerprint, seconds, place)
    where exists (select 1 from videos v where v.user_id = w.user_id collate "C"
      and v.fingerprint = w.fingerprint and v.first_fetched_at is null
      and v.created_at > now() - make_interval(secs => w.seconds))
    """
)
_ABSORB = video_query(
    f"""
    update videos v set sdk_tries = sdk_tries | :bit where id = (
      select id from videos where user_id = :user_id and fingerprint = :fingerprint
        and created_at > now() - make_interval(secs => :seconds)
        and first_fetched_at is null and status <> 'deleted'
        and api_key_id is not distinct from cast(:api_key_id as text)
        and sdk_tries & :bit = 0
      order by created_at, id limit 1 for update)
    returning {VIDEO}
    """
)


def absorb(connection: Connection, tries: Sequence[Try]) -> dict[int, Video]:
    """By their places in `tries`, the videos that other tries of the same calls have made, each
    marked as the answer to this try too.

    Equal requests take turns from here to the end of their transactions, so that a retry sees what
    the request before it does. A video that its client has looked at was answered for, and each
    try is met once: it takes two creates to absorb two first retries.
    """
    if not tries:
        return {}
    columns = {f.name: [getattr(one, f.name) for one in tries] for f in fields(Try)}
    connection.execute(_TAKE_TURNS, columns)
    met: dict[int, Video] = {}
    for place in sorted(connection.scalars(_ANY_BEFORE, columns)):
        row = connection.execute(_ABSORB, asdict(tries[place - 1])).one_or_none()
        if row is not None:
            met[place - 1] = Video(*row)
    return met


_LOCK_SOURCE = text("select 1 from videos where id = :id for update")
_LIVE_RETRY = text(
    "select exists (select 1 from videos where retry_of = :id and status in ('queued', "
    "'in_progress'))"
)


def live_retry(connection: Connection, video_id: str) -> bool:
    """Whether a retry of this video is under way; waits for one that is just being written."""
    connection.execute(_LOCK_SOURCE, {"id": video_id})
    return bool(connection.scalar(_LIVE_RETRY, {"id": video_id}))


ROOM = """case
      -- Ordered as the index is: EXISTS would be sure to meet a waiting video soon, and read the
      -- whole table where nobody waits.
      when (select true from videos where provider = {provider} and account = {account}
        and status = 'queued' and admitted_at is null and not snoozed and due_at <= now()
        order by user_id, rank_at, id limit 1) then 0
      when exists (select 1 from providers where name = {provider} and account = {account}
        and (paused_until > now() or pauses > 0)) then 0
      else :ahead - (select count(*) from (select 1 from videos where provider = {provider}
        and account = {account} and status = 'queued' and admitted_at is not null
        limit :ahead) a)
    end"""
"""How many videos of an account may start without waiting for the sweep, see `room`."""
_ROOM = often(text(f"select {ROOM.format(provider=':provider', account=':account')}"))


def room(connection: Connection, provider: str, account: str, *, ahead: int) -> int:
    """How many videos may start without waiting for the sweep: none where somebody waits or the
    provider is paused, else what `ahead` leaves beside those admitted and not yet picked up.
    """
    values = {"provider": provider, "account": account, "ahead": ahead}
    return int(connection.scalar(_ROOM, values) or 0)
