"""Tables that are full: of what is over, of what waits, and of what waits for its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import text

from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate, script

# 20,000 finished and 2,000 waiting videos of 200 users (one of whom has most), 300 at work; behind
# them `waiting` more that wait, `snoozed` that wait for tomorrow or for a lane, and `finished` that
# are over.
FILL = """
insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account, step,
  due_at, admitted_at, created_at, rank_at, finished_at, completed_at, deleted_at, content_key,
  expires_at, input_key, quota_period, quota_state, fingerprint, seq, lease_token, lease_until,
  candidates, snoozed, run_at, waits_lane)
select 'video_' || lpad(to_hex(n), 32, '0'),
  case when n % 4 = 0 then 'user' || n % 200 else 'hog' end, 'sora-2', s.status,
  'a red kite number ' || n, '720x1280', '4', 'default', 'sandbox',
  case s.status when 'queued' then 'submit' when 'in_progress' then
    case when n % 3 = 0 then 'store' else 'poll' end end,
  case when s.snoozed then case when n % 2 = 0 then now() + interval '1 day' end
    when s.status in ('queued', 'in_progress') then now() + (n % 900 - 300) * interval '1 s' end,
  case when s.status = 'in_progress' or (s.status = 'queued' and n <= 2000 and n % 20 = 0)
    then now() end,
  now() - n * interval '1 min', now() - n * interval '1 min',
  case when s.status not in ('queued', 'in_progress') then now() - n * interval '30 s' end,
  case when s.status = 'completed' then now() end,
  case when s.status = 'deleted' then now() - n * interval '30 s' end,
  case when s.status in ('completed', 'deleted') then 'videos/' || n end,
  case when n % 50 = 0 then now() + (n % 900 - 10) * interval '1 h' end,
  case when n % 30 = 0 then 'inputs/' || n end, now(),
  case when s.status = 'completed' then 'kept' else 'reserved' end, md5(cast(n as text)), 3,
  case when s.status = 'in_progress' and n % 3 = 0 then 'token' || n % 10 end,
  case when s.status = 'in_progress' and n % 3 = 0 then now() + interval '20 s' end,
  case when n % 3 = 0 then array['default', 'second'] end, s.snoozed,
  case when s.snoozed and n % 2 = 0 then now() + interval '1 day' end,
  case when s.snoozed and n % 2 = 1 then 'lane' || n % 40 end
from generate_series(1, 22300 + :waiting + :snoozed + :finished) n cross join lateral (select
  case when n <= 2000 then 'queued' when n <= 2300 then 'in_progress'
    when n between 22301 and 22300 + :waiting + :snoozed then 'queued'
    when n % 10 = 0 then 'deleted' when n % 10 = 1 then 'failed' else 'completed' end as status,
  n between 22301 + :waiting and 22300 + :waiting + :snoozed as snoozed) s;

insert into attempts (video_id, n, user_id, provider, account, state, sent_at, canonical_id,
  ended_at, due_at, lease_token, lease_until, detached)
select v.id, 1, v.user_id, v.provider, v.account,
  case when v.status = 'queued' then case when v.n / 20 % 2 = 0 then 'sent' else 'unknown' end
    when v.n % 100 = 7 then 'abandoned' else 'accepted' end,
  v.created_at, case when v.status <> 'queued' and v.n % 100 <> 7 then 'up_' || v.n end,
  coalesce(v.finished_at, case when v.n % 100 = 7 then now() end),
  case when v.status = 'queued' and v.n / 20 % 2 = 1 or v.n % 100 = 7 and v.n < 3000
    then now() + (v.n % 900 - 300) * interval '1 s' end,
  case when v.status = 'queued' and v.n / 20 % 2 = 0 then 'token' || v.n % 10 end,
  case when v.status = 'queued' and v.n / 20 % 2 = 0
    then now() + (v.n % 30 - 1) * interval '1 s' end,
  false
from (select *, cast(cast('x' || right(id, 8) as bit(32)) as int) as n from videos) v
where v.status <> 'queued' or v.admitted_at is not null;

insert into video_events (video_id, event_type, created_at, seq, user_id)
select v.id, case t.n when 1 then 'created' else 'status_changed' end,
  v.created_at + t.n * interval '1 s', t.n, v.user_id
from videos v cross join generate_series(1, 3) t(n);

insert into user_quotas (user_id, reset_at)
select distinct user_id, now() + interval '9 days' from videos
union select 'stranger' || n, now() + interval '9 days' from generate_series(1, 30000) n;

insert into idempotency_keys (user_id, route, key, fingerprint, status_code, video_ids, created_at)
select user_id, 'POST /api/videos', id, fingerprint, 202, array[id],
  created_at from videos where right(id, 1) in ('0', '1', '2');
"""
# What waits and is polled is put away and comes again, due, when the statistics have been taken.
QUIET = """
update videos set status = 'cancelled', step = null, due_at = null, admitted_at = null,
  snoozed = false, finished_at = now()
where status = 'queued' or (status = 'in_progress' and step = 'poll')
"""
RUSH = """
update videos v set status = case when n.n <= 1000 then 'queued' else 'in_progress' end,
  step = case when n.n <= 1000 then 'submit' else 'poll' end, finished_at = null,
  admitted_at = now(), due_at = now() - n.n % 300 * interval '1 s'
from (select id, cast(cast('x' || right(id, 8) as bit(32)) as int) as n from videos) n
where v.id = n.id and v.status = 'cancelled'
"""
_INDEXES = """
select string_agg(format('drop index %I', c.relname), '; ')
from pg_index i join pg_class c on c.oid = i.indexrelid
where not i.indisunique and c.relnamespace = current_schema()::regnamespace
"""


@contextmanager
def filled(
    server_url: str, *, waiting: int = 0, snoozed: int = 0, finished: int = 0
) -> Iterator[Database]:
    """A database of its own on that server, full, whose statistics are fresh. `finished` may be
    less than nothing: so many fewer.
    """
    name = f"full_{uuid4().hex}"
    server = Database(server_url)
    with server.statement() as connection:
        connection.execute(text(f"create database {name}"))
    database = Database(server_url.replace("/orchestrator?", f"/{name}?"), pool_size=1)
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("set local statement_timeout = 0"))
        # Nothing refers to what is not there, and indexes are made in one go: a quarter of the
        # time.
        connection.execute(text("set local session_replication_role = replica"))
        connection.exec_driver_sql(connection.scalar(text(_INDEXES)))
        numbers = {"waiting": waiting, "snoozed": snoozed, "finished": finished}
        for statement in FILL.rstrip(";\n").split(";\n"):
            connection.execute(text(statement), numbers)
        connection.exec_driver_sql(script(), execution_options={"no_parameters": True})
    _vacuum(database)

    yield database

    database.close()
    with server.statement() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    server.close()


def rush(database: Database) -> None:
    """Let everything that waits be due at once, a thousand to be submitted and the others to be
    polled, while the statistics still know of a quiet hour.
    """
    with database.statement() as connection:
        connection.execute(text(QUIET))
    _vacuum(database)
    with database.statement() as connection:
        connection.execute(text(RUSH))


def _vacuum(database: Database) -> None:
    with database.statement() as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("vacuum analyze"))
