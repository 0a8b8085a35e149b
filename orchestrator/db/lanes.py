"""Lanes: of the requests that look alike in a provider's list, only equal ones may be open at once.

A lane is a hash of what the list shows. A video that is found there belongs to *any* open attempt
that fits, so all of a lane must have asked for the same. Where the list shows the whole request
they have: such attempts share their lane. Any other one needs it for itself. Among these a unique
index says so; between them and those that share, an exclusion constraint could, but it would need
the extension btree_gist, which minimal installations lack and some hosts allow only on request.
Instead, whoever enters a lane takes its advisory lock, looks, and writes: who comes second sees
what the first has written. Those that share the lane share the lock, too: a hundred videos of one
prompt do not queue up for it. It lasts for one short transaction, never for a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.prepared import often

_SEED = 7_236_003
TURN_SECONDS = 10.0
"""For so long a lane is kept free for whoever has been called."""
_LANES = 100


@dataclass(frozen=True, slots=True)
class Lane:
    """What an attempt looks like in the list of its provider; `alone`: that is not the whole
    request, so it needs the lane for itself.
    """

    name: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A claimed video that asks to enter a lane; `called`: it has waited, and its turn has come."""

    video_id: str
    provider: str
    account: str
    lane: Lane
    called: bool


_LOCK = often(
    text(
        """
    select case when alone then pg_advisory_xact_lock(k) else pg_advisory_xact_lock_shared(k) end
    from (
      select hashtextextended(e.provider || ' ' || e.account || ' ' || e.lane, :seed) as k,
        bool_or(e.alone) as alone
      from unnest(cast(:providers as text[]), cast(:accounts as text[]), cast(:lanes as text[]),
        cast(:alone as boolean[])) as e(provider, account, lane, alone) group by k order by k) l
    """
    )
)
_ADMITTED = often(
    text(
        """
    select e.id from unnest(cast(:ids as text[]), cast(:providers as text[]),
        cast(:accounts as text[]), cast(:lanes as text[]), cast(:alone as boolean[]),
        cast(:called as boolean[])) as e(id, provider, account, lane, alone, called)
    where not exists (select 1 from attempts a where a.provider = e.provider
        and a.account = e.account and a.lane = e.lane and a.state in ('sent', 'unknown'))
      and not (e.alone and exists (select 1 from attempts a where a.provider = e.provider
        and a.account = e.account and a.shown = e.lane and a.state in ('sent', 'unknown')))
      and (e.called or not exists (select 1 from videos v where v.provider = e.provider
        and v.account = e.account and v.waits_lane = e.lane and v.status = 'queued'
        and v.id <> e.id collate "C"))
    """
    )
)


def enter(connection: Connection, entries: Sequence[Entry]) -> set[str]:
    """Let these videos enter their lanes, those who were called first, the others in this order.
    Nobody who waits is passed over, except by those that share the lane with him and enter at the
    same moment. Holds for the rest of the transaction.

    Returns:
        The videos that cannot: something else is open there. They wait from now on, neither
        admitted nor due until they are called.
    """
    places = {
        "providers": [entry.provider for entry in entries],
        "accounts": [entry.account for entry in entries],
        "lanes": [entry.lane.name for entry in entries],
        "alone": [entry.lane.alone for entry in entries],
    }
    connection.execute(_LOCK, {**places, "seed": _SEED})
    # A statement of its own, whose snapshot is younger than the locks.
    free = set(
        connection.execute(
            _ADMITTED,
            {
                **places,
                "ids": [entry.video_id for entry in entries],
                "called": [entry.called for entry in entries],
            },
        ).scalars()
    )
    shared: dict[tuple[str, str, str], bool] = {}
    entered = set()
    for entry in sorted(entries, key=lambda entry: not entry.called):
        place = (entry.provider, entry.account, entry.lane.name)
        if (
            entry.video_id in free
            and shared.get(place, True)
            and not (entry.lane.alone and place in shared)
        ):
            shared[place] = not entry.lane.alone
            entered.add(entry.video_id)
    turned_away = [entry for entry in entries if entry.video_id not in entered]
    if turned_away:
        _wait(connection, turned_away)
    return {entry.video_id for entry in turned_away}


def _wait(connection: Connection, entries: Sequence[Entry]) -> None:
    connection.execute(
        text(
            "update videos v set waits_lane = e.lane, lease_token = null, lease_until = null, "
            "admitted_at = null, due_at = null, snoozed = true "
            "from unnest(cast(:ids as text[]), cast(:lanes as text[])) as e(id, lane) "
            'where v.id = e.id collate "C"'
        ),
        {
            "ids": [entry.video_id for entry in entries],
            "lanes": [entry.lane.name for entry in entries],
        },
    )


def leave(connection: Connection, video_id: str) -> None:
    """A claimed video waits no longer."""
    connection.execute(text("update videos set waits_lane = null where id = :id"), {"id": video_id})


def awaited(connection: Connection, provider: str, account: str, lane: str) -> bool:
    """Whether somebody waits for this lane."""
    return bool(
        connection.scalar(
            text(
                "select exists (select 1 from videos where provider = :provider "
                "and account = :account and waits_lane = :lane and status = 'queued')"
            ),
            {"provider": provider, "account": account, "lane": lane},
        )
    )


def call(connection: Connection) -> int:
    """Let the next of each lane that has become free be due. Returns how many.

    The turn goes to the user with the least in flight per weight who is not at their own cap. It
    lasts for a while: who is called may still have to wait for a slot.
    """
    return connection.execute(text(_CALL), {"turn": TURN_SECONDS, "limit": _LANES}).rowcount


def release(connection: Connection, *, limit: int) -> int:
    """Let go of those that wait for a lane of a paused provider while others would take them: the
    backlog moves them there. Returns how many.
    """
    return connection.execute(
        text(
            """
            update videos u set waits_lane = null, due_at = now(), snoozed = false from (
              select v.id from providers p join videos v on v.provider = p.name
                and v.account = p.account
              where p.paused_until > now() and v.waits_lane is not null and v.status = 'queued'
                and v.due_at is null and v.candidates is not null
              order by v.id limit :limit for update of v skip locked) d
            where u.id = d.id
            """
        ),
        {"limit": limit},
    ).rowcount


_WAITING = (
    "v.provider = l.provider and v.account = l.account and v.waits_lane = l.waits_lane "
    "and v.status = 'queued'"
)
# What is in flight is counted once for all lanes.
_CALL = f"""
with recursive l as (
  (select provider, account, waits_lane from videos
   where waits_lane is not null and status = 'queued'
   order by provider, account, waits_lane limit 1)
  union all
  select n.* from l cross join lateral (
    select v.provider, v.account, v.waits_lane from videos v
    where v.waits_lane is not null and v.status = 'queued'
      and (v.provider, v.account, v.waits_lane) > (l.provider, l.account, l.waits_lane)
    order by v.provider, v.account, v.waits_lane limit 1) n),
free as (
  select l.* from l
  where not exists (select 1 from providers p where p.name = l.provider
      and p.account = l.account and p.paused_until > now())
    and not exists (select 1 from attempts a where a.provider = l.provider
      and a.account = l.account and a.shown = l.waits_lane and a.state in ('sent', 'unknown'))
    and not exists (select 1 from videos v where {_WAITING}
      and v.due_at is not null and v.due_at > now() - make_interval(secs => :turn))
  limit :limit),
f as materialized (
  select user_id, count(*) as n from attempts where ended_at is null group by user_id),
next as (
  select c.id from free l cross join lateral (
    with recursive t as (
      (select v.user_id from videos v where {_WAITING} order by v.user_id limit 1)
      union all
      select (select v.user_id from videos v where {_WAITING} and v.user_id > t.user_id
              order by v.user_id limit 1)
      from t where t.user_id is not null)
    select w.id from t
    left join user_quotas q on q.user_id = t.user_id left join f on f.user_id = t.user_id
    cross join lateral (select v.id, v.rank_at from videos v
      where {_WAITING} and v.user_id = t.user_id and v.due_at is null
      order by v.rank_at, v.id limit 1) w
    where coalesce(f.n, 0) < coalesce(q.max_in_flight, coalesce(f.n, 0) + 1)
    order by coalesce(f.n, 0) / coalesce(q.weight, 1)::float, w.rank_at, w.id limit 1) c)
update videos set due_at = now(), snoozed = false
where id = any(array(select id from next)) and status = 'queued' and due_at is null
  and waits_lane is not null
"""
