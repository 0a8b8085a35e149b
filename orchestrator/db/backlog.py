"""The backlog: who waits for a slot at which provider, who is next, and what still sleeps."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.queue import Due

_LOCK = 7_236_002


@dataclass(frozen=True, slots=True)
class Load:
    """What one provider's account has on its hands."""

    open_attempts: int
    sent: int
    admitted: int

    @property
    def used(self) -> int:
        """Slots taken: open attempts and fresh admissions."""
        return self.open_attempts + self.admitted


def lock_dispatch(connection: Connection) -> bool:
    """Whether this transaction may admit; another one is at it otherwise, and will do."""
    return bool(connection.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}))


def backlogs(connection: Connection) -> list[tuple[str, str]]:
    """The (provider, account) pairs that have videos waiting for a slot and are not paused: a skip
    scan.
    """
    rows = connection.execute(
        text(
            """
            with recursive t as (
              (select provider, account from videos where status = 'queued' and admitted_at is null
               and not snoozed order by provider, account limit 1)
              union all
              select n.provider, n.account from t cross join lateral (
                select v.provider, v.account from videos v where v.status = 'queued' and
                  v.admitted_at is null and not v.snoozed
                  and (v.provider, v.account) > (t.provider, t.account) order by v.provider,
                    v.account limit 1) n)
            select t.provider, t.account from t
            left join providers p on p.name = t.provider and p.account = t.account
            where p.paused_until is null or p.paused_until <= now()
            """
        )
    )
    return [(row[0], row[1]) for row in rows]


def load(
    connection: Connection, provider: str, account: str, *, ahead: int, at_most: int | None = None
) -> Load:
    """Count the slots in use at one account; admissions and what is being sent are counted up to
    `ahead`, open attempts up to `at_most` (None: all), since nobody asks how many more there are.
    """
    row = connection.execute(
        text(
            """
            select (select count(*) from (select 1 from attempts where provider = :provider
                      and account = :account and ended_at is null limit :at_most) o),
                   (select count(*) from (select 1 from attempts where provider = :provider
                      and account = :account and state = 'sent' limit :ahead) s),
                   (select count(*) from (select 1 from videos v where v.provider = :provider
                      and v.account = :account and v.status = 'queued' and v.admitted_at is not null
                      and not exists (select 1 from attempts a where a.video_id = v.id and
                        a.ended_at is null)
                      limit :ahead) f)
            """
        ),
        {"provider": provider, "account": account, "ahead": ahead, "at_most": at_most},
    ).one()
    return Load(row[0], row[1], row[2])


def take_back(connection: Connection) -> int:
    """Let what was admitted to a provider that is paused by now wait again, unless it is being
    submitted already. Returns how many.
    """
    return connection.execute(
        text(
            """
            update videos u set admitted_at = null from (
              -- In the order in which everybody locks many rows, so that nobody waits crosswise.
              select v.id from providers p join videos v on v.provider = p.name
                and v.account = p.account
              where p.paused_until > now() and v.status = 'queued' and v.admitted_at is not null
                and v.lease_token is null
                and not exists (select 1 from attempts a where a.video_id = v.id
                  and a.ended_at is null)
              order by v.id for update of v) d
            where u.id = d.id
            """
        )
    ).rowcount


def wake(connection: Connection, *, limit: int) -> int:
    """Put queued videos whose time has come into the backlog, of every user about as many. Returns
    how many.

    Under `lock_dispatch`: whoever else locks many rows of the backlog waits for that, too.
    """
    return connection.execute(text(_WAKE), {"limit": limit}).rowcount


# Looks at single users only when anything at all is due: most sweeps find nothing.
_WAKE = """
with recursive t as (
  (select user_id from videos where snoozed and status = 'queued' and admitted_at is null
     and (select true from videos where snoozed and status = 'queued' and admitted_at is null
            and due_at <= now() order by due_at limit 1)
   order by user_id limit 1)
  union all
  select (select v.user_id from videos v where v.snoozed and v.status = 'queued'
            and v.admitted_at is null and v.user_id > t.user_id order by v.user_id limit 1)
  from t where t.user_id is not null),
due as (
  select w.id from t cross join lateral (
    select v.id, row_number() over (order by v.due_at, v.id) as place
    from (select id, due_at from videos where snoozed and status = 'queued'
            and admitted_at is null and user_id = t.user_id and due_at <= now()
          order by due_at limit greatest(1, :limit / (select count(user_id) from t))) v) w
  where t.user_id is not null order by w.place limit :limit)
update videos set snoozed = false where id = any(array(select id from due))
"""


def admit(connection: Connection, provider: str, account: str, slots: int) -> list[Due]:
    """Give up to `slots` waiting videos their slot, and mark them as rung.

    The next slot goes to the user with the least in flight per weight, of two such to the one who
    has waited longer since the last; within a user by rank. The candidates are found by a skip scan
    over the users and a few index probes each, so a backlog of one user costs the others nothing.
    Window functions rule out SKIP LOCKED: hence `lock_dispatch`, and the
    compare-and-set here.
    """
    if slots <= 0:
        return []
    rows = connection.execute(
        text(_ADMIT), {"provider": provider, "account": account, "slots": slots}
    )
    return [Due(row[0], "submit", row[1], provider, account) for row in rows]


_ADMIT = """
with recursive t as (
  (select user_id from videos where provider = :provider and account = :account
     and status = 'queued' and admitted_at is null and not snoozed order by user_id limit 1)
  union all
  select (select v.user_id from videos v where v.provider = :provider and v.account = :account
            and v.status = 'queued' and v.admitted_at is null and not v.snoozed
            and v.user_id > t.user_id order by v.user_id limit 1)
  from t where t.user_id is not null),
-- Of these there are never many; of open attempts there may be a hundred thousand, so not a join.
fresh as (
  select v.user_id, count(*) as n from videos v where v.status = 'queued'
    and v.admitted_at is not null
    and (select true from attempts a where a.video_id = v.id and a.ended_at is null limit 1) is null
  group by v.user_id),
f as materialized (
  select t.user_id, coalesce(fresh.n, 0) + (select count(*) from attempts a
    where a.user_id = t.user_id and a.ended_at is null) as n
  from t left join fresh on fresh.user_id = t.user_id where t.user_id is not null),
candidates as (
  select w.id, coalesce(f.n, 0) + w.place as position, q.max_in_flight,
    (coalesce(f.n, 0) + w.place) / coalesce(q.weight, 1)::float as turn, s.served_at, w.rank_at
  from t left join user_quotas q on q.user_id = t.user_id left join f on f.user_id = t.user_id
  left join lateral (select v.admitted_at as served_at from videos v where v.user_id = t.user_id
    and v.admitted_at is not null order by v.admitted_at desc limit 1) s on true
  cross join lateral (
    select v.id, v.rank_at, row_number() over (order by v.rank_at, v.id) as place
    from (select id, rank_at from videos where provider = :provider and account = :account
            and status = 'queued' and admitted_at is null and not snoozed and user_id = t.user_id
            and due_at <= now() order by rank_at, id limit :slots) v) w
  where t.user_id is not null),
chosen as (
  select id from candidates where position <= coalesce(max_in_flight, position)
  order by turn, served_at nulls first, rank_at, id limit :slots)
update videos v set admitted_at = now(), rung_at = now() from chosen c
where v.id = c.id and v.status = 'queued' and v.admitted_at is null
  and v.provider = :provider and v.account = :account
returning v.id, v.kind
"""
