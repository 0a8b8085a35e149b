"""Every query that a loop runs goes by an index, however full the tables are."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, text

from orchestrator.db import (
    acceptances,
    attempts,
    audit,
    backlog,
    deliveries,
    events,
    gauges,
    health,
    housekeeping,
    idempotency,
    intake,
    invariants,
    lanes,
    looks,
    orphans,
    polling,
    queue,
    quotas,
    receipts,
    routing,
    streams,
    submissions,
    submitting,
    targets,
    traffic,
    transitions,
    videos,
)
from orchestrator.db.idempotency import Claim
from orchestrator.db.submissions import Try
from orchestrator.db.videos import Filters
from orchestrator.lifecycle import CANCEL, EventType
from tests.integration.full_tables import filled, rush

BIG = {"videos", "attempts", "video_events", "idempotency_keys", "user_quotas"}
ACCOUNT = ("default", "sandbox")
VIDEO = f"video_{5:032x}"
KEYS = [Claim(f"user{n}", "POST /api/videos", f"k{n}", "f", f"video_{n:032x}") for n in range(30)]
LOT = [
    {
        "id": f"video_{'f' * 30}{n:02x}",
        "user_id": f"user{4 * n}",
        "kind": "create",
        "model": "sora-2",
        "prompt": "a red kite",
        "seconds": "4",
        "size": "720x1280",
        "metadata": {},
        "priority": 0,
        "sdk_tries": 1,
        "provider": ACCOUNT[0],
        "account": ACCOUNT[1],
        "fingerprint": "f",
        "cost_estimated": Decimal("0.4"),
        "events": [{"type": "created", "data": {}}],
        "free": True,
        "route": "POST /api/videos",
        "key": f"new{n}",
    }
    for n in range(16)
]
MIDDLE = datetime.now(UTC) - timedelta(minutes=9000)


@pytest.fixture(scope="module")
def full(postgres_url):
    """A database full of rows, shared by the tests of this module: none of them keeps a change."""
    with filled(postgres_url, snoozed=2000) as database:
        yield database


@pytest.fixture(scope="module")
def huge(postgres_url):
    """The same with a million finished videos, 100,000 that wait and as many for tomorrow."""
    with filled(postgres_url, waiting=98_000, snoozed=100_000, finished=980_000) as database:
        yield database


@pytest.fixture(scope="module")
def young(postgres_url):
    """Some thousand rows: so few that reading them all looks cheap, and statistics that know of
    nothing that is due.
    """
    with filled(postgres_url, finished=-15_000) as database:
        rush(database)
        yield database


@pytest.fixture(scope="module")
def late(postgres_url):
    """50,000 videos are overdue, a hundred of them leased; twice as many are over."""
    with filled(postgres_url, waiting=48_000, finished=80_000) as database:
        rush(database)
        yield database


def plans_of(database, call):
    """The plan of every statement that this call makes, each run and undone: for these parameters,
    and where it is prepared also the one for any.
    """
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
        known = connection.info["prepared"].known
        for statement, parameters in statements:
            for one in filter(None, [statement, known.get(statement)]):
                cursor = connection.connection.cursor()
                cursor.execute(
                    "explain (analyze, timing off, summary off, format json) " + one, parameters
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
    "backlog.load, bounded": lambda c: backlog.load(c, *ACCOUNT, ahead=500, at_most=10),
    "backlog.admit": lambda c: backlog.admit(c, *ACCOUNT, 8),
    "backlog.wake": lambda c: backlog.wake(c, limit=1000),
    "backlog.take_back": backlog.take_back,
    "queue.expired_submits": lambda c: queue.expired_submits(c, **LATER),
    "queue.overdue_starts": lambda c: queue.overdue_starts(c, timeout=86_400, **LATER),
    "queue.renew": lambda c: queue.renew(c, ["token3"], seconds=30),
    "routing.movable": lambda c: routing.movable(
        c, *ACCOUNT, "sora-2", open_to=["second"], limit=50
    ),
    "routing.move": lambda c: routing.move(
        c, [f"video_{n:032x}" for n in range(3, 303, 3)], source=ACCOUNT, target=("second", "")
    ),
    "submitting.claim_submits": lambda c: submitting.claim_submits(c, [VIDEO], token="t", lease=30),
    "looks.claim_due": lambda c: looks.claim_due(
        c, *ACCOUNT, ("unknown", "abandoned"), token="t", lease=30, limit=500
    ),
    "looks.claim_due, watch": lambda c: looks.claim_due(
        c, *ACCOUNT, ("accepted",), token="t", lease=30, limit=50
    ),
    "looks.known_ids": lambda c: looks.known_ids(
        c, *ACCOUNT, [f"up_{n}" for n in range(9000, 9100)]
    ),
    "looks.matchable": lambda c: looks.matchable(c, *ACCOUNT, within=timedelta(days=1)),
    "looks.ask_looks": lambda c: looks.ask_looks(c, *ACCOUNT),
    "lanes.call": lanes.call,
    "lanes.release": lambda c: lanes.release(c, **LATER),
    "lanes.enter": lambda c: lanes.enter(
        c, [lanes.Entry(VIDEO, *ACCOUNT, lanes.Lane("lane7", alone=True), False)]
    ),
    "acceptances.write": lambda c: acceptances.write(
        c, [acceptances.Acceptance(VIDEO, 1, "up_x", "up_x", "t")]
    ),
    "lanes.awaited": lambda c: lanes.awaited(c, *ACCOUNT, "lane7"),
    "orphans.accounts": orphans.accounts,
    "orphans.due": lambda c: orphans.due(c, "gone", "gone", patience=86_400, limit=100),
    "attempts.detach": lambda c: attempts.detach(c, VIDEO),
    "looks.held": lambda c: looks.held(c, limit=100),
    "polling.claim": lambda c: polling.claim(
        c, [f"video_{n:032x}" for n in range(2001, 2101)], "poll", token="t", lease=30
    ),
    "polling.claim_due": lambda c: polling.claim_due(c, *ACCOUNT, token="t", **LATER, lease=30),
    "polling.held": lambda c: polling.held(
        c, [f"video_{n:032x}" for n in range(2001, 2101)], token="t"
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
    "submissions.absorb": lambda c: submissions.absorb(
        c, [Try("hog", None, f"{n}", 2, 600.0) for n in range(30)]
    ),
    "intake.write": lambda c: intake.write(c, LOT, patience=1, ahead=500),
    "idempotency.claim": lambda c: idempotency.claim(c, KEYS),
    "idempotency.lock": lambda c: idempotency.lock(c, KEYS[0]),
    "idempotency.note": lambda c: idempotency.note(c, KEYS[0], {0: VIDEO}),
    "idempotency.free_unused": lambda c: idempotency.free_unused(c, KEYS[0]),
    "idempotency.free": lambda c: idempotency.free(c, KEYS[:5]),
    "quotas.lock": lambda c: quotas.lock(c, [f"user{n}" for n in range(30)]),
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
    "videos.page, several statuses": lambda c: videos.page(
        c, "hog", Filters(status=("queued", "in_progress", "failed")), limit=21
    ),
    "videos.page, statuses that nobody has": lambda c: videos.page(
        c, "hog", Filters(status=("cancelled", "in_progress")), limit=1000, after=(MIDDLE, VIDEO)
    ),
    # Only the newest ones have these, which no statistics tell.
    "videos.page, statuses, ascending": lambda c: videos.page(
        c, "hog", Filters(status=("queued", "in_progress")), limit=21, ascending=True
    ),
    "videos.page, model": lambda c: videos.page(c, "hog", Filters(model="sora-2"), limit=21),
    "videos.page, model and status": lambda c: videos.page(
        c, "hog", Filters(model="sora-2", status=("failed",)), limit=21, after=(MIDDLE, VIDEO)
    ),
    "videos.page, dates": lambda c: videos.page(
        c,
        "hog",
        Filters(created_after=MIDDLE - timedelta(days=1), created_before=MIDDLE),
        limit=21,
    ),
    "videos.page, dates and status": lambda c: videos.page(
        c, "hog", Filters(status=("deleted",), created_before=MIDDLE), limit=21
    ),
    "videos.page, text": lambda c: videos.page(c, "hog", Filters(q="red KITE"), limit=21),
    "videos.page, text and all else": lambda c: videos.page(
        c,
        "hog",
        Filters(("completed", "failed"), "sora-2", MIDDLE - timedelta(days=9), MIDDLE, "kite"),
        limit=21,
    ),
    "videos.page, archived": lambda c: videos.page(
        c, "hog", Filters(archived=True), limit=21, after=(MIDDLE, VIDEO)
    ),
    "videos.page, archived or not": lambda c: videos.page(
        c, "hog", Filters(archived=None), limit=21, after=(MIDDLE, VIDEO)
    ),
    "videos.page, small user": lambda c: videos.page(c, "user8", Filters(), limit=21),
    "videos.family": lambda c: videos.family(c, VIDEO, limit=200),
    "videos.pending": lambda c: videos.pending(c, limit=100),
    "targets.ring_due": lambda c: targets.ring_due(c, again=3, **LATER),
    "deliveries.prune": lambda c: deliveries.prune(c, days=30, limit=200),
    "targets.prune": lambda c: targets.prune(c, days=1, limit=200),
    "health.overdue": health.overdue,
    "receipts.make_due": lambda c: receipts.make_due(c, *ACCOUNT, "up_9000"),
    "receipts.forget": lambda c: receipts.forget(c, days=7, limit=200),
    "streams.of_videos": lambda c: streams.of_videos(c, [(VIDEO, 1)], limit=100),
    "streams.of_users": lambda c: streams.of_users(c, [("user8", 0, 40_000)], limit=100),
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
    "housekeeping.prune_videos": lambda c: housekeeping.prune_videos(
        c, days=31, quiet=7, after="", before="video_g", limit=200
    ),
    "audit.prune": lambda c: audit.prune(c, days=31, limit=200),
    "housekeeping.prune_events": lambda c: housekeeping.prune_events(
        c, days=14, after="", limit=200
    ),
}


# For operators: these count what there is, and read no more than that.
HERE = {"after": f"video_{9000:032x}", "upto": f"video_{10_999:032x}"}
CHECKS = {
    "health.work": health.work,
    "traffic.queue": traffic.queue,
    "traffic.minutes": lambda c: traffic.minutes(c, 60),
    "gauges.held": gauges.held,
    "gauges.open_attempts": gauges.open_attempts,
    "invariants.still_open": invariants.still_open,
    "invariants.contents": lambda c: invariants.contents(c, after=VIDEO, limit=1000),
    **{
        rule: lambda c, query=query: c.execute(text(query), HERE)
        for rule, query in invariants.OF_VIDEOS.items()
    },
    **{
        rule: lambda c, query=query: c.execute(text(query), {"after": "user1", "upto": "user2"})
        for rule, query in invariants.OF_USERS.items()
    },
    **{
        rule: lambda c, query=query: c.execute(text(query))
        for rule, query in invariants.OF_LEASES.items()
    },
}
PAGE = 5 * invariants.VIDEOS_A_PAGE


def reads(database, call):
    """What each scan of a big table that this call makes reads, as (kind, table, rows)."""
    return [scan for plan in plans_of(database, call) for scan in scans(plan)]


def whole(found):
    """The scans from end to end among these."""
    return [scan for scan in found if scan[0] == "Seq Scan"]


@pytest.mark.parametrize("name", QUERIES)
def test_query_reads_little_and_by_index(full, name):
    """No big table is read from end to end, and no index either; nor is what waits for its time."""
    found = reads(full, QUERIES[name])

    assert [] == whole(found)
    assert sum(read for _, _, read in found) <= 3000


@pytest.mark.parametrize("name", CHECKS)
def test_check_reads_what_it_counts(full, name):
    """What an operator asks for is found by index, a page at a time."""
    assert [] == whole(reads(full, CHECKS[name]))


@pytest.mark.scale
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", QUERIES)
def test_query_reads_as_little_when_there_are_a_million(huge, name):
    """A million finished videos, 100,000 that wait and as many for tomorrow change nothing."""
    found = reads(huge, QUERIES[name])

    assert [] == whole(found)
    assert sum(read for _, _, read in found) <= 3000


@pytest.mark.scale
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CHECKS)
def test_check_reads_by_page_when_there_are_a_million(huge, name):
    """`orchestrator doctor --check` walks through a big database in short statements."""
    found = reads(huge, CHECKS[name])

    assert [] == whole(found)
    assert name not in invariants.OF_VIDEOS or sum(read for _, _, read in found) <= PAGE


AT_WORK = [
    "submitting.claim_submits",
    "acceptances.write",
    "polling.claim",
    "polling.still_running",
    "polling.generated",
]


@pytest.mark.scale
@pytest.mark.parametrize("name", AT_WORK)
def test_step_reads_its_videos_only_when_work_comes_all_at_once(young, name):
    """Whoever names their videos reads no others, neither a table that looks small nor an index of
    what is due that looked empty.
    """
    found = reads(young, QUERIES[name])

    assert [] == whole(found)
    assert sum(read for _, _, read in found) <= 500


@pytest.mark.scale
@pytest.mark.parametrize("analyzed", [False, True], ids=["surprised", "analyzed"])
def test_renewal_reads_what_is_due_and_no_more_when_work_is_late(late, analyzed):
    """The leases of videos are looked for among what is due; that is read once, some 30 ms for
    50,000.
    """
    if analyzed:
        with late.statement() as connection:
            connection.execute(text("analyze videos"))

    found = reads(late, QUERIES["queue.renew"])

    assert [] == whole(found)
    assert sum(read for _, _, read in found) <= 52_000
