"""Every query that a loop runs goes by an index, however full the tables are."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from orchestrator.db import (
    attempts,
    backlog,
    events,
    housekeeping,
    polling,
    queue,
    quotas,
    routing,
    submissions,
    transitions,
    videos,
)
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.db.videos import Filters
from orchestrator.lifecycle import CANCEL, EventType

BIG = {"videos", "attempts", "video_events", "idempotency_keys", "user_quotas"}
ACCOUNT = ("default", "sandbox")
VIDEO = f"video_{5:032x}"
MIDDLE = datetime.now(UTC) - timedelta(minutes=9000)

# 20,000 finished and 2,000 waiting videos of 200 users (one of whom has most), 300 at work.
FILL = """
insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account, step,
  due_at, admitted_at, created_at, rank_at, finished_at, completed_at, deleted_at, content_key,
  expires_at, input_key, quota_period, quota_state, fingerprint, seq, lease_token, lease_until)
select 'video_' || lpad(to_hex(n), 32, '0'),
  case when n % 4 = 0 then 'user' || n % 200 else 'hog' end, 'sora-2', s.status,
  'a red kite number ' || n, '720x1280', '4', 'default', 'sandbox',
  case s.status when 'queued' then 'submit' when 'in_progress' then
    case when n % 3 = 0 then 'store' else 'poll' end end,
  case when s.status in ('queued', 'in_progress') then now() + (n % 900 - 300) * interval '1 s' end,
  case when s.status = 'in_progress' or (s.status = 'queued' and n % 20 = 0) then now() end,
  now() - n * interval '1 min', now() - n * interval '1 min',
  case when s.status not in ('queued', 'in_progress') then now() - n * interval '30 s' end,
  case when s.status = 'completed' then now() end,
  case when s.status = 'deleted' then now() - n * interval '30 s' end,
  case when s.status in ('completed', 'deleted') then 'videos/' || n end,
  case when n % 50 = 0 then now() + (n % 900 - 10) * interval '1 h' end,
  case when n % 30 = 0 then 'inputs/' || n end, now(),
  case when s.status = 'completed' then 'kept' else 'reserved' end, md5(n::text), 3,
  case when s.status = 'in_progress' and n % 3 = 0 then 'token' || n % 10 end,
  case when s.status = 'in_progress' and n % 3 = 0 then now() + interval '20 s' end
from generate_series(1, 22300) n cross join lateral (select case
  when n <= 2000 then 'queued' when n <= 2300 then 'in_progress' when n % 10 = 0 then 'deleted'
  when n % 10 = 1 then 'failed' else 'completed' end as status) s;

insert into attempts (video_id, n, provider, account, state, sent_at, canonical_id, ended_at,
  due_at, lease_token, lease_until, detached)
select v.id, 1, v.provider, v.account,
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
from (select *, ('x' || right(id, 8))::bit(32)::int as n from videos) v
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

analyze;
"""


@pytest.fixture(scope="module")
def full(postgres_url):
    """A database full of rows, shared by the tests of this module: none of them keeps a change."""
    name = f"full_{uuid4().hex}"
    server = Database(postgres_url)
    with server.statement() as connection:
        connection.execute(text(f"create database {name}"))
    database = Database(postgres_url.replace("/orchestrator?", f"/{name}?"), pool_size=1)
    migrate(database)
    with database.statement() as connection:
        connection.exec_driver_sql(FILL, execution_options={"no_parameters": True})

    yield database

    database.close()
    with server.statement() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    server.close()


def plans_of(database, call):
    """The plan of every statement that this call makes, each run and undone."""
    statements = []

    def note(connection, cursor, statement, parameters, context, many):
        statements.append((statement, parameters))

    with database._engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", note)
        try:
            call(connection)
        finally:
            event.remove(connection, "before_cursor_execute", note)
            connection.rollback()
        for statement, parameters in statements:
            cursor = connection.connection.cursor()
            cursor.execute(
                "explain (analyze, timing off, summary off, format json) " + statement, parameters
            )
            yield cursor.fetchone()[0][0]["Plan"]
            connection.rollback()


def nodes(plan):
    """A plan's node and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def scans(plan):
    """(kind, table, rows read) of each scan of a big table."""
    for node in nodes(plan):
        if node.get("Relation Name") in BIG and "Scan" in node["Node Type"]:
            read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            read += node.get("Rows Removed by Index Recheck", 0)
            yield node["Node Type"], node["Relation Name"], round(read * node["Actual Loops"])


LATER = {"limit": 1000}
QUERIES = {
    "queue.ring_due": lambda c: queue.ring_due(c, again=3, **LATER),
    "queue.ring_due_attempts": lambda c: queue.ring_due_attempts(c, again=3, **LATER),
    "backlog.backlogs": backlog.backlogs,
    "backlog.load": lambda c: backlog.load(c, *ACCOUNT, ahead=500),
    "backlog.admit": lambda c: backlog.admit(c, *ACCOUNT, 8),
    "queue.expired_submits": lambda c: queue.expired_submits(c, **LATER),
    "queue.overdue_starts": lambda c: queue.overdue_starts(c, timeout=86_400, **LATER),
    "queue.renew": lambda c: queue.renew(c, ["token3"], seconds=30),
    "routing.movable": lambda c: routing.movable(
        c, *ACCOUNT, "sora-2", open_to=["second"], limit=50
    ),
    "attempts.claim_submit": lambda c: attempts.claim_submit(c, VIDEO, token="t", lease=30),
    "attempts.claim_due": lambda c: attempts.claim_due(
        c, *ACCOUNT, ("unknown", "abandoned"), token="t", lease=30, limit=500
    ),
    "attempts.known_ids": lambda c: attempts.known_ids(
        c, *ACCOUNT, [f"up_{n}" for n in range(9000, 9100)]
    ),
    "attempts.matchable": lambda c: attempts.matchable(c, *ACCOUNT, within=timedelta(days=1)),
    "attempts.ask_looks": lambda c: attempts.ask_looks(c, *ACCOUNT),
    "attempts.detach": lambda c: attempts.detach(c, VIDEO),
    "attempts.held": lambda c: attempts.held(c, limit=100),
    "polling.claim": lambda c: polling.claim(
        c, [f"video_{n:032x}" for n in range(2001, 2101)], "poll", token="t", lease=30
    ),
    "polling.still_running": lambda c: polling.still_running(
        c, [polling.Running(f"video_{n:032x}", 5, 3.0) for n in range(2001, 2101)], token="t"
    ),
    "polling.generated": lambda c: polling.generated(
        c,
        [
            polling.Generated(f"video_{n:032x}", 1, "completed", Decimal(1), MIDDLE)
            for n in range(2001, 2101)
        ],
        token="t",
    ),
    "transitions.transition": lambda c: transitions.transition(c, VIDEO, CANCEL),
    "transitions.record": lambda c: transitions.record(c, VIDEO, EventType.HELD),
    "polling.snooze": lambda c: polling.snooze(c, [VIDEO], token="t", due_in=3),
    "polling.ask": lambda c: polling.ask(c, VIDEO, at_least=5),
    "submissions.room": lambda c: submissions.room(c, *ACCOUNT, ahead=500),
    "submissions.live_retry": lambda c: submissions.live_retry(c, VIDEO),
    "quotas.reserve": lambda c: quotas.reserve(c, [quotas.Wanted("user8", 1, Decimal(1))]),
    "videos.get": lambda c: videos.get(c, VIDEO),
    "videos.page": lambda c: videos.page(c, "hog", Filters(), limit=21),
    "videos.page, cursor": lambda c: videos.page(
        c, "hog", Filters(), limit=21, after=(MIDDLE, f"video_{9000:032x}")
    ),
    "videos.page, ascending": lambda c: videos.page(
        c, "hog", Filters(), limit=21, after=(MIDDLE, VIDEO), ascending=True
    ),
    "videos.page, status": lambda c: videos.page(
        c, "hog", Filters(status=("in_progress",)), limit=21, after=(MIDDLE, VIDEO)
    ),
    "videos.page, small user": lambda c: videos.page(c, "user8", Filters(), limit=21),
    "videos.pending": lambda c: videos.pending(c, limit=100),
    "events.of_video": lambda c: events.of_video(c, VIDEO, after=3),
    "events.of_user": lambda c: events.of_user(c, "user8", limit=50),
    "events.of_user, busy": lambda c: events.of_user(c, "hog", limit=50, before=40_000),
    "events.of_user, everybody": lambda c: events.of_user(c, None, limit=50),
    "housekeeping.expired_content": lambda c: housekeeping.expired_content(
        c, deleted_days=7, limit=200
    ),
    "housekeeping.inputs_in_use": lambda c: housekeeping.inputs_in_use(
        c, [f"inputs/{n}" for n in range(9000, 9200)]
    ),
    "housekeeping.content_in_use": lambda c: housekeeping.content_in_use(
        c, [f"videos/video_{n:032x}/a.mp4" for n in range(9000, 9200)]
    ),
    "housekeeping.forget_keys": lambda c: housekeeping.forget_keys(c, days=14, limit=200),
    "housekeeping.prune_events": lambda c: housekeeping.prune_events(c, days=14, limit=200),
}


@pytest.mark.parametrize("name", QUERIES)
def test_query_reads_little_and_by_index(full, name):
    """No big table is read from end to end, and no index either."""
    found = [scan for plan in plans_of(full, QUERIES[name]) for scan in scans(plan)]
    assert [] == [scan for scan in found if scan[0] == "Seq Scan"]
    assert sum(read for _, _, read in found) <= 3000
