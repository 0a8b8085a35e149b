"""Lots of plain submissions in one statement: what they leave behind is what others leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator import intake, ledger, quotas
from orchestrator.context import Context
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.intake import LOT_PATIENCE
from orchestrator.ledger import Outcome, Unplain, Written
from orchestrator.wishes import IdempotencyKey, SdkTry, Wish, prepare
from tests.core import caller, make_request, opened, sql, statements, submit
from tests.factories import fail

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def ctx(database_url: str, tmp_path: Path) -> Iterator[Context]:
    """A context on an empty database, in which ann and bob are known."""
    with opened(database_url, tmp_path) as ctx:
        for user_id in ("ann", "bob"):
            quotas.change(ctx, user_id, {"videos_limit": 1000})
        yield ctx


def wish(
    ctx: Context, user_id: str = "ann", key: str | SdkTry | None = None, **changes: Any
) -> Wish:
    """A checked submission."""
    named = IdempotencyKey(key, "POST /api/videos") if isinstance(key, str) else key
    return prepare(ctx, caller(user_id), make_request(**changes), key=named)


def by_turns(ctx: Context, wishes: Sequence[Wish]) -> list[Outcome]:
    """Write these with a statement for each question."""
    with ctx.database.transaction() as connection:
        return ledger.write(ctx.catalog, connection, wishes)


def at_once(ctx: Context, wishes: Sequence[Wish]) -> list[Outcome]:
    """Write these in one statement."""
    with ctx.database.transaction() as connection:
        return ledger.write_plain(ctx.catalog, connection, wishes, patience=LOT_PATIENCE)


def mixed(ctx: Context) -> list[Wish]:
    """Several users, with keys and without, for now and for later, for ears and for none."""
    return [
        wish(ctx, key="a"),
        wish(ctx, "bob", key="a", priority=5),
        wish(ctx, metadata={"shot": {"n": 12}}, webhook_url="https://example.com/hook"),
        wish(ctx, run_at=LATER, seconds="8"),
        wish(ctx, "bob", quality="high"),
    ]


def left(ctx: Context) -> dict[str, list[dict[str, Any]]]:
    """All that is in the tables, without what is never twice the same: ids, and times but for
    which of them are set, and how far from the others.
    """
    videos = """select to_jsonb(v) - array['id', 'created_at', 'updated_at'] || jsonb_build_object(
        'due_at', v.due_at = v.created_at, 'admitted_at', v.admitted_at = v.created_at,
        'rung_at', v.rung_at = v.created_at, 'rank_at', v.rank_at - v.created_at,
        'quota_period', v.quota_period = q.period_started_at) as found
      from videos v join user_quotas q using (user_id) order by v.user_id, v.fingerprint"""
    events = """select to_jsonb(e) - array['id', 'created_at', 'video_id', 'xid'] as found
      from video_events e join videos v on v.id = e.video_id
      order by v.user_id, v.fingerprint, e.seq"""
    keys = """select to_jsonb(k) - array['created_at', 'video_ids'] || jsonb_build_object(
        'videos', (select array_agg(v.fingerprint) from videos v where v.id = any(k.video_ids)))
        as found
      from idempotency_keys k order by k.user_id, k.key"""
    quotas = """select to_jsonb(q) - array['updated_at', 'created_at', 'reset_at',
        'period_started_at'] as found from user_quotas q order by q.user_id"""
    deliveries = "select to_jsonb(d.type) as found from deliveries d order by d.type"
    tables = {"videos": videos, "events": events, "keys": keys, "quotas": quotas}
    return {
        name: [row.found for row in sql(ctx, query)]
        for name, query in {**tables, "deliveries": deliveries}.items()
    }


def test_same_is_left_behind_when_a_lot_is_written_at_once(ctx: Context) -> None:
    """Columns, histories, keys, quotas, messages, and who is told what."""
    slow = by_turns(ctx, mixed(ctx))
    expected = left(ctx)
    sql(ctx, "truncate videos, idempotency_keys, deliveries cascade")
    sql(ctx, "update user_quotas set videos_created = 0, cost_used = 0")

    outcomes = at_once(ctx, mixed(ctx))

    assert expected == left(ctx)
    assert [type(one) for one in slow] == [type(one) for one in outcomes]
    assert ["ann", "bob", "ann", "ann", "bob"] == [
        one.video.user_id for one in outcomes if isinstance(one, Written) and one.video
    ]


def test_lot_is_one_statement_when_it_is_plain(ctx: Context) -> None:
    """As it comes from the web."""
    wishes = mixed(ctx)[:2]

    with statements(ctx) as executed:
        outcomes = intake.together(ctx, wishes)

    assert 1 == len(executed)
    assert all(isinstance(outcome, Written) for outcome in outcomes)


def used_key(ctx: Context) -> list[Wish]:
    """Of two keys one was used before."""
    by_turns(ctx, [wish(ctx, key="used")])
    return [wish(ctx, "bob", key="new"), wish(ctx, key="used")]


def equal_keys(ctx: Context) -> list[Wish]:
    """Two requests with one key come together."""
    return [wish(ctx, key="k"), wish(ctx, key="k")]


def spent_quota(ctx: Context) -> list[Wish]:
    """The second of a user's wishes is one too many."""
    quotas.change(ctx, "bob", {"videos_limit": 1})
    return [wish(ctx), wish(ctx, "bob"), wish(ctx, "bob")]


def spent_money(ctx: Context) -> list[Wish]:
    """A user's month is paid for."""
    quotas.change(ctx, "bob", {"cost_limit": "0.01"})
    return [wish(ctx), wish(ctx, "bob")]


def stranger(ctx: Context) -> list[Wish]:
    """Somebody has no quota yet."""
    return [wish(ctx), wish(ctx, "carl")]


def sdk_try(ctx: Context) -> list[Wish]:
    """The request of an SDK may have come before."""
    return [wish(ctx), wish(ctx, key=SdkTry(1))]


def retried(ctx: Context) -> list[Wish]:
    """A retry must be the only one of its video."""
    video = submit(ctx)
    fail(ctx, video.id)
    one = wish(ctx)
    return [replace(one, row={**one.row, "retry_of": video.id})]


@pytest.mark.parametrize(
    "make", [used_key, equal_keys, spent_quota, spent_money, stranger, sdk_try, retried]
)
def test_nothing_is_written_when_something_is_to_be_decided(
    ctx: Context, make: Callable[[Context], list[Wish]]
) -> None:
    """Not a key, a reservation or a video; then all is as if it had not been tried."""
    wishes = make(ctx)
    before = left(ctx)

    with pytest.raises(Unplain):
        at_once(ctx, wishes)

    assert before == left(ctx)
    assert len(wishes) == len(intake.together(ctx, wishes))


def test_month_is_begun_when_the_last_one_is_over(ctx: Context) -> None:
    """Whatever was used up in it."""
    sql(ctx, "update user_quotas set videos_created = 1000, reset_at = now() - interval '1 day'")

    at_once(ctx, [wish(ctx), wish(ctx)])

    assert [(2,)] == sql(ctx, "select videos_created from user_quotas where user_id = 'ann'")


def test_those_start_that_need_not_wait(ctx: Context) -> None:
    """Not who has a limit of how many are under way at a time, and nobody before its time."""
    quotas.change(ctx, "bob", {"max_in_flight": 5})
    soon = datetime.now(UTC) + timedelta(hours=1)

    outcomes = at_once(ctx, [wish(ctx), wish(ctx, "bob"), wish(ctx, run_at=soon), wish(ctx)])

    assert [True, False, False, True] == [
        one.video.admitted_at is not None
        for one in outcomes
        if isinstance(one, Written) and one.video
    ]


def test_admission_goes_no_further_ahead_than_agreed(ctx: Context) -> None:
    """The first ones of a lot start, beside those that have started before."""
    at_once(ctx, [wish(ctx), wish(ctx)])

    outcomes = at_once(ctx, [wish(ctx) for _ in range(500)])

    assert [True] * 498 + [False] * 2 == [
        one.video.admitted_at is not None
        for one in outcomes
        if isinstance(one, Written) and one.video
    ]


def test_nobody_starts_when_somebody_waits(ctx: Context) -> None:
    """Who came before is dealt out first, by the sweep."""
    submit(ctx)
    sql(ctx, "update videos set admitted_at = null, rung_at = null")

    outcomes = at_once(ctx, [wish(ctx)])

    assert [None] == [
        one.video.admitted_at for one in outcomes if isinstance(one, Written) and one.video
    ]


@pytest.mark.parametrize("write", [by_turns, at_once])
def test_no_event_costs_a_walk_through_the_table(
    bare_database_url: str,
    tmp_path: Path,
    write: Callable[[Context, Sequence[Wish]], list[Outcome]],
) -> None:
    """A plan for the check of a foreign key that was made for an empty table would stay on the
    connection, and read the table once for each event.
    """
    database = Database(bare_database_url)
    migrate(database)
    with database.statement() as connection:
        connection.execute(text("vacuum analyze videos"))
    database.close()

    with opened(bare_database_url, tmp_path, db_pool_size=1) as ctx:
        quotas.change(ctx, "ann", {"videos_limit": 1000})
        for n in range(10):
            write(ctx, [wish(ctx, prompt=f"kite {n}") for _ in range(20)])
        sql(ctx, "select pg_stat_force_next_flush()")

        read = "select seq_tup_read from pg_stat_user_tables where relname = 'videos'"
        assert [(0,)] == sql(ctx, read)
