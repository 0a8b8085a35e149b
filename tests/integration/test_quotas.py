"""Quotas: what fits is reserved, what does not is refused, whatever races."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orchestrator import quotas, submissions
from orchestrator.db import quotas as rows
from orchestrator.db import transitions
from orchestrator.db.quotas import Wanted
from orchestrator.errors import InvalidRequest, QuotaExceeded
from orchestrator.lifecycle import CANCEL, QuotaState
from tests.core import NOON, caller, make_request, opened, quota, race, row, sql, submit, types_of


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def end(ctx, video_id, settle=QuotaState.RELEASED):
    """Cancel a video and settle its reservation."""
    with ctx.database.transaction() as connection:
        return transitions.transition(connection, video_id, CANCEL, settle=settle)


def let_the_month_end(ctx, user_id="ann"):
    """Pretend that the user's month began in the last one and is over since an hour."""
    sql(
        ctx,
        "update user_quotas set reset_at = now() - interval '1 hour', "
        "period_started_at = now() - interval '20 days' where user_id = :user",
        user=user_id,
    )
    sql(
        ctx,
        "update videos v set quota_period = q.period_started_at from user_quotas q "
        "where q.user_id = v.user_id and v.user_id = :user",
        user=user_id,
    )


def reserve(ctx, *wanted):
    """Reserve in a transaction of its own; the users that were granted theirs."""
    with ctx.database.transaction() as connection:
        return set(rows.reserve(connection, wanted))


@pytest.mark.parametrize(("user_id", "limit"), [("ann", 100), ("admin", 1000), ("anonymous", 10)])
def test_new_user_has_the_default_limit(ctx, user_id, limit):
    """A hundred videos a month, a thousand for the admin, ten for the unknown."""
    found = quotas.get(ctx, user_id)

    assert (0, limit, limit) == (found.videos_created, found.videos_limit, found.remaining)
    assert (Decimal(0), None, None, 1.0) == (
        found.cost_used,
        found.cost_limit,
        found.max_in_flight,
        found.weight,
    )


def test_month_ends_on_the_first_of_the_next_in_utc(ctx):
    """Whoever comes today resets at midnight UTC of the next first."""
    now = datetime.now(UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    first = (start + timedelta(days=32)).replace(day=1)

    assert first == quotas.get(ctx, "ann").reset_at


@pytest.mark.parametrize("user_id", ["", " ann", "a\0b", "x" * 256, "a\nb"])
@pytest.mark.parametrize(
    "call",
    [
        quotas.get,
        quotas.reset,
        lambda ctx, user_id: quotas.change(ctx, user_id, {"videos_limit": 1}),
    ],
)
def test_impossible_user_is_refused(ctx, user_id, call):
    """What cannot be a user's id gets no row."""
    with pytest.raises(InvalidRequest) as caught:
        call(ctx, user_id)

    assert "user_id" == caught.value.param


def test_creation_reserves_a_place_and_its_price(ctx):
    """Two seconds at 0.10 US dollars each, reserved before the video exists for anybody."""
    video = submit(ctx)

    found = quota(ctx)
    assert (1, Decimal("0.2000")) == (found.videos_created, found.cost_used)
    assert ("reserved", found.period_started_at) == (video.quota_state, video.quota_period)


def test_refusal_says_use_limit_and_reset(ctx):
    """The 429 answer carries all that a client needs to wait or to ask for more."""
    quotas.change(ctx, "ann", {"videos_limit": 1})
    submit(ctx)

    with pytest.raises(QuotaExceeded) as caught:
        submit(ctx)

    assert "Quota exceeded: 1 of 1 videos used this month." == str(caught.value)
    assert {"used": 1, "limit": 1, "remaining": 0} == {
        name: caught.value.extra[name] for name in ("used", "limit", "remaining")
    }
    assert caught.value.extra["reset_at"].endswith("-01T00:00:00.000Z")


def test_refusal_leaves_nothing_behind(ctx):
    """No video, no event, no count of a refused request."""
    quotas.change(ctx, "ann", {"videos_limit": 0})

    with pytest.raises(QuotaExceeded):
        submit(ctx)

    assert 0 == quota(ctx).videos_created
    assert [(0, 0)] == sql(
        ctx, "select (select count(*) from videos), (select count(*) from video_events)"
    )


def test_cost_limit_refuses_what_is_too_dear(ctx):
    """The message names the money, in dollars and cents."""
    quotas.change(ctx, "ann", {"cost_limit": Decimal("0.50")})
    submit(ctx)
    submit(ctx)

    with pytest.raises(QuotaExceeded) as caught:
        submit(ctx)

    assert (
        "The cost limit of 0.50 USD a month does not allow this: 0.40 used, this one costs 0.20."
        == str(caught.value)
    )
    assert (0.4, 0.5) == (caught.value.extra["cost_used"], caught.value.extra["cost_limit"])
    assert 2 == quota(ctx).videos_created


def test_cost_limit_may_be_reached_exactly(ctx):
    """The last cent may be spent."""
    quotas.change(ctx, "ann", {"cost_limit": Decimal("0.40")})

    submit(ctx)
    submit(ctx)

    assert Decimal("0.4000") == quota(ctx).cost_used


def test_exactly_as_many_as_fit_are_granted_when_sixty_race(ctx):
    """Sixty at once against a limit of 25: 25 get through, 35 are refused."""
    quotas.change(ctx, "ann", {"videos_limit": 25})

    outcomes = race(*[lambda: submit(ctx) for _ in range(60)])

    assert {"QuotaExceeded": 35, "Video": 25} == types_of(outcomes)
    assert 25 == quota(ctx).videos_created
    assert [(25,)] == sql(ctx, "select count(*) from videos where user_id = 'ann'")


def test_exactly_as_much_money_is_granted_as_there_is_when_many_race(ctx):
    """Twenty at once at 40 US dollars each against 250: six get through."""
    quotas.change(ctx, "ann", {"cost_limit": 250})

    outcomes = race(*[lambda: reserve(ctx, Wanted("ann", 1, Decimal(40))) for _ in range(20)])

    assert 6 == outcomes.count({"ann"})
    assert Decimal(240) == quota(ctx).cost_used


def test_first_request_of_a_new_user_counts_once_when_many_race(ctx):
    """Ten requests of somebody unknown make one row, and all are counted."""
    outcomes = race(*[lambda: submit(ctx, "new") for _ in range(10)])

    assert {"Video": 10} == types_of(outcomes)
    assert 10 == quota(ctx, "new").videos_created


def test_batches_do_not_wait_for_each_other_when_users_come_in_other_orders(ctx):
    """Rows are locked in one order, so that two batches never deadlock."""
    users = [f"user{n}" for n in range(30)]
    for user in users:
        quotas.get(ctx, user)
    orders = [users, users[::-1], users[10:] + users[:10]]

    outcomes = race(
        *[
            lambda order=order: reserve(ctx, *[Wanted(u, 1, Decimal(0)) for u in order])
            for order in orders * 3
        ]
    )

    assert [set(users)] * 9 == outcomes
    assert {9} == {quota(ctx, user).videos_created for user in users}


def test_reservation_of_several_users_refuses_each_for_itself(ctx):
    """One user's empty quota does not cost the neighbours theirs."""
    quotas.change(ctx, "bob", {"videos_limit": 1})

    granted = reserve(
        ctx,
        Wanted("ann", 2, Decimal(1)),
        Wanted("bob", 2, Decimal(1)),
        Wanted("new", 1, Decimal(1)),
    )

    assert {"ann", "new"} == granted
    assert (2, 0, 1) == tuple(quota(ctx, user).videos_created for user in ("ann", "bob", "new"))


def test_ended_month_counts_as_unused_before_anybody_resets_it(ctx):
    """Reading needs no writer: from the first on the old use is gone."""
    submit(ctx)
    let_the_month_end(ctx)

    found = quotas.get(ctx, "ann")

    assert (0, Decimal(0), 100) == (found.videos_created, found.cost_used, found.remaining)
    assert found.reset_at > datetime.now(UTC)


def test_new_month_begins_with_the_first_reservation(ctx):
    """The reset is part of the same guarded statement: a full old month refuses nothing."""
    quotas.change(ctx, "ann", {"videos_limit": 1, "cost_limit": Decimal("0.2")})
    submit(ctx)
    let_the_month_end(ctx)

    video = submit(ctx)

    found = quota(ctx)
    assert (1, Decimal("0.2000")) == (found.videos_created, found.cost_used)
    assert found.reset_at > datetime.now(UTC)
    assert found.period_started_at == video.quota_period


def test_new_month_begins_once_when_many_race(ctx):
    """Twenty at once on the first of the month: all are counted in one new period."""
    for _ in range(3):
        submit(ctx)
    let_the_month_end(ctx)
    quotas.change(ctx, "ann", {"videos_limit": 15})

    outcomes = race(*[lambda: submit(ctx) for _ in range(20)])

    assert {"QuotaExceeded": 5, "Video": 15} == types_of(outcomes)
    assert 15 == quota(ctx).videos_created
    assert [(1,)] == sql(
        ctx,
        "select count(distinct quota_period) from videos where quota_period > now() - "
        "interval '1 day'",
    )


def test_release_gives_back_within_its_own_month(ctx):
    """Count and estimate go back."""
    video = submit(ctx)

    end(ctx, video.id)

    assert (0, Decimal(0)) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_release_gives_nothing_back_to_a_later_month(ctx):
    """A video of last month that ends now lowers nothing that was reserved this month."""
    old = submit(ctx)
    let_the_month_end(ctx)
    submit(ctx)

    ended = end(ctx, old.id)

    assert "released" == ended.quota_state
    assert (1, Decimal("0.2000")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_release_after_the_end_of_a_month_harms_nobody(ctx):
    """Between the first and the first reservation the old counters still take it."""
    old = submit(ctx)
    let_the_month_end(ctx)

    end(ctx, old.id)
    submit(ctx)

    assert 1 == quota(ctx).videos_created


def test_keeping_books_the_charge_instead_of_the_estimate(ctx):
    """The count stays; the money is what was really charged."""
    video = submit(ctx)
    sql(ctx, "update videos set cost_actual = 0.05 where id = :id", id=video.id)

    end(ctx, video.id, QuotaState.KEPT)

    assert (1, Decimal("0.0500")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_late_charge_is_booked_only_within_its_month(ctx):
    """What an attempt of last month cost is no use of this one."""
    ended = end(ctx, submit(ctx).id)
    with ctx.database.transaction() as connection:
        rows.charge(connection, ended, Decimal("0.1"))
        rows.charge(connection, ended._replace(quota_period=NOON), Decimal(7))

    assert (0, Decimal("0.1000")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_change_sets_limits_of_a_known_user(ctx):
    """What is not named stays as it was."""
    submit(ctx)

    quotas.change(ctx, "ann", {"videos_limit": 7, "weight": 2.5})
    changed = quotas.change(ctx, "ann", {"cost_limit": Decimal("9.5"), "max_in_flight": 3})

    assert (7, 2.5, Decimal("9.5000"), 3, 1) == (
        changed.videos_limit,
        changed.weight,
        changed.cost_limit,
        changed.max_in_flight,
        changed.videos_created,
    )


def test_change_makes_a_row_for_a_new_user(ctx):
    """An admin may set limits before the user ever came; the rest is by default."""
    changed = quotas.change(ctx, "new", {"max_in_flight": 3})

    assert (100, 3, 0) == (changed.videos_limit, changed.max_in_flight, changed.videos_created)


def test_change_takes_a_limit_away_when_it_is_none(ctx):
    """None is no limit, not zero."""
    quotas.change(ctx, "ann", {"cost_limit": 1, "max_in_flight": 1})

    changed = quotas.change(ctx, "ann", {"cost_limit": None, "max_in_flight": None})

    assert (None, None) == (changed.cost_limit, changed.max_in_flight)


def test_change_of_nothing_returns_the_quota(ctx):
    """An empty change is no error."""
    assert 100 == quotas.change(ctx, "ann", {}).videos_limit


def test_change_refuses_what_is_no_limit(ctx):
    """Counters are not set by hand."""
    with pytest.raises(KeyError):
        quotas.change(ctx, "ann", {"videos_created": 0})


def test_lowered_limit_refuses_from_now_on(ctx):
    """What was reserved stays; nothing more is."""
    submit(ctx)
    submit(ctx)

    quotas.change(ctx, "ann", {"videos_limit": 1})

    assert (2, 0) == (quota(ctx).videos_created, quota(ctx).remaining)
    with pytest.raises(QuotaExceeded, match=r"2 of 1 videos"):
        submit(ctx)


def test_reset_starts_a_new_period(ctx):
    """Nothing is used any longer, and what runs gives nothing back to the new period."""
    old = submit(ctx)

    reset = quotas.reset(ctx, "ann")
    submit(ctx)
    end(ctx, old.id)

    assert (0, Decimal(0)) == (reset.videos_created, reset.cost_used)
    assert reset.period_started_at > old.quota_period
    assert (1, Decimal("0.2000")) == (quota(ctx).videos_created, quota(ctx).cost_used)


def test_reset_makes_a_row_for_a_new_user(ctx):
    """Resetting somebody unknown is harmless."""
    assert (0, 100) == (
        quotas.reset(ctx, "new").videos_created,
        quotas.get(ctx, "new").videos_limit,
    )


@pytest.mark.parametrize(
    ("videos", "cost", "expected"),
    [(1, "0", True), (3, "1.00", True), (4, "0", False), (1, "1.01", False)],
)
def test_check_says_what_would_fit(ctx, videos, cost, expected):
    """Asking reserves nothing."""
    quotas.change(ctx, "ann", {"videos_limit": 3, "cost_limit": 1})

    found = quotas.get(ctx, "ann")

    assert expected is quotas.allows(found, Decimal(cost), videos)
    assert 0 == quota(ctx).videos_created


def test_price_is_the_dearest_that_may_be_charged(ctx):
    """The bigger model costs twice as much a second."""
    video = submissions.create(ctx, caller(), make_request(model="sora-2-pro", seconds="3")).video

    assert Decimal("0.6000") == row(ctx, video.id).cost_estimated
