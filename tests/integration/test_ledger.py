"""Many submissions in one transaction: each refused or written for itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from orchestrator import quotas
from orchestrator.errors import Conflict, IdempotencyKeyReused, QuotaExceeded
from orchestrator.ledger import Written, write
from orchestrator.wishes import IdempotencyKey, SdkTry, prepare
from tests.core import caller, make_request, opened, quota, race, sql, statements, submit
from tests.factories import fail


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def wish(ctx, user_id="ann", prompt="a red kite", key=None, **changes):
    """A checked submission."""
    named = None if key is None else IdempotencyKey(key, "POST /api/videos")
    return prepare(ctx, caller(user_id), make_request(prompt, **changes), key=named)


def write_all(ctx, wishes):
    """Write these wishes in one transaction."""
    with ctx.database.transaction() as connection:
        return write(ctx.catalog, connection, wishes)


def kinds(outcomes):
    """What became of each: new, replayed, or the error's name."""
    return [
        ("replayed" if outcome.replayed else "new")
        if isinstance(outcome, Written)
        else type(outcome).__name__
        for outcome in outcomes
    ]


def test_outcomes_are_in_the_order_of_the_wishes(ctx):
    """Each answer belongs to the wish in its place, of whichever user."""
    wishes = [wish(ctx, user, f"{user} {n}") for n in range(3) for user in ("ann", "bob")]

    outcomes = write_all(ctx, wishes)

    assert ["new"] * 6 == kinds(outcomes)
    assert [w.row["prompt"] for w in wishes] == [o.video.prompt for o in outcomes]
    assert (3, 3) == (quota(ctx).videos_created, quota(ctx, "bob").videos_created)


def test_nothing_is_written_of_nothing(ctx):
    """An empty batch is no error."""
    assert [] == write_all(ctx, [])


def test_as_many_as_fit_are_granted_in_order(ctx):
    """A user with two places left gets the first two; the neighbour gets all."""
    quotas.change(ctx, "ann", {"videos_limit": 2})
    wishes = [wish(ctx, user) for user in ("ann", "bob", "ann", "ann", "bob", "ann")]

    outcomes = write_all(ctx, wishes)

    assert ["new", "new", "new", "QuotaExceeded", "new", "QuotaExceeded"] == kinds(outcomes)
    assert (2, 2) == (quota(ctx).videos_created, quota(ctx, "bob").videos_created)
    assert [(4,)] == sql(ctx, "select count(*) from videos")


def test_cheap_wishes_fit_where_dear_ones_do_not(ctx):
    """With 50 cents left, one of 40 is refused and two of 20 are granted."""
    quotas.change(ctx, "ann", {"cost_limit": "0.50"})
    wishes = [wish(ctx), wish(ctx, model="sora-2-pro"), wish(ctx)]

    outcomes = write_all(ctx, wishes)

    assert ["new", "QuotaExceeded", "new"] == kinds(outcomes)
    assert 0.4 == pytest.approx(float(quota(ctx).cost_used))


def test_refusals_free_their_keys_and_disturb_nobody(ctx):
    """A key of a refused wish is not left behind by the batch that was committed."""
    quotas.change(ctx, "ann", {"videos_limit": 1})

    outcomes = write_all(ctx, [wish(ctx, key="a"), wish(ctx, key="b")])

    assert ["new", "QuotaExceeded"] == kinds(outcomes)
    assert isinstance(outcomes[1], QuotaExceeded)
    assert [("a",)] == sql(ctx, "select key from idempotency_keys")


def test_equal_keys_of_one_batch_make_one_video(ctx):
    """The second is a replay of the first, before either is committed; another body is refused."""
    wishes = [wish(ctx, key="a"), wish(ctx, key="a"), wish(ctx, prompt="another", key="a")]

    outcomes = write_all(ctx, wishes)

    assert ["new", "replayed", "IdempotencyKeyReused"] == kinds(outcomes)
    assert isinstance(outcomes[2], IdempotencyKeyReused)
    assert outcomes[0].video.id == outcomes[1].video.id
    assert 1 == quota(ctx).videos_created


def test_equal_keys_of_one_batch_are_both_refused_when_the_quota_is_spent(ctx):
    """A replay of what was never made is no success."""
    quotas.change(ctx, "ann", {"videos_limit": 0})

    outcomes = write_all(ctx, [wish(ctx, key="a"), wish(ctx, key="a")])

    assert ["QuotaExceeded", "QuotaExceeded"] == kinds(outcomes)
    assert [] == sql(ctx, "select key from idempotency_keys")


def test_key_is_free_for_another_body_when_its_first_wish_was_refused(ctx):
    """In one batch as in two: what was refused has not used the key."""
    quotas.change(ctx, "ann", {"cost_limit": "0.20"})
    wishes = [wish(ctx, key="a", model="sora-2-pro"), wish(ctx, key="a"), wish(ctx, key="a")]

    outcomes = write_all(ctx, wishes)

    assert ["QuotaExceeded", "new", "replayed"] == kinds(outcomes)
    assert outcomes[1].video.id == outcomes[2].video.id
    assert [([outcomes[1].video.id],)] == sql(ctx, "select video_ids from idempotency_keys")


def test_keys_of_users_are_their_own_in_one_batch(ctx):
    """The same key of two users, and of two routes, names different things."""
    base = wish(ctx, key="a")
    elsewhere = replace(wish(ctx), key=IdempotencyKey("a", "POST /v1/videos"))

    outcomes = write_all(ctx, [base, wish(ctx, "bob", key="a"), elsewhere])

    assert ["new"] * 3 == kinds(outcomes)


def test_tries_of_one_call_are_one_video_when_they_meet_in_a_batch(ctx):
    """The SDK's retry is written together with its first request, whichever comes first."""
    early = perf_counter() - 5
    tries = [replace(wish(ctx), key=SdkTry(number, arrived=early)) for number in (1, 0, 2, 1, 0)]

    outcomes = write_all(ctx, tries)

    assert 2 == quota(ctx).videos_created
    assert [False, True, True, False, True] == [outcome.replayed for outcome in outcomes]


def test_numbers_of_a_refusal_count_the_neighbours(ctx):
    """Whoever comes third with two places is told that two are used."""
    quotas.change(ctx, "ann", {"videos_limit": 2})

    outcomes = write_all(ctx, [wish(ctx), wish(ctx), wish(ctx)])

    assert (2, 2, 0) == tuple(outcomes[2].quota[n] for n in ("used", "limit", "remaining"))


def test_refusals_cost_a_few_statements_however_many_there_are(ctx):
    """Somebody without quota who asks all the time does not slow the others down."""
    quotas.change(ctx, "ann", {"videos_limit": 1})
    wishes = [wish(ctx, key=f"k{n}") for n in range(40)] + [wish(ctx, "bob")]

    with statements(ctx) as executed:
        outcomes = write_all(ctx, wishes)

    assert 39 == kinds(outcomes).count("QuotaExceeded")
    assert len(executed) <= 10


def test_two_retries_in_one_batch_are_one(ctx):
    """The second finds the first, though neither is committed."""
    video = submit(ctx)
    fail(ctx, video.id)
    base = wish(ctx)
    again = [
        type(base)(row={**wish(ctx).row, "retry_of": video.id}, cost=base.cost) for _ in range(2)
    ]

    outcomes = write_all(ctx, again)

    assert ["new", "Conflict"] == kinds(outcomes)
    assert isinstance(outcomes[1], Conflict)


def test_second_retry_has_its_turn_when_the_first_is_refused(ctx):
    """A retry that the quota did not allow is not under way."""
    video = submit(ctx)
    fail(ctx, video.id)
    quotas.change(ctx, "ann", {"videos_limit": 0})
    retries = [replace(w, row={**w.row, "retry_of": video.id}) for w in (wish(ctx), wish(ctx))]

    outcomes = write_all(ctx, retries)

    assert ["QuotaExceeded", "QuotaExceeded"] == kinds(outcomes)


def test_those_for_later_are_not_admitted(ctx):
    """In one batch, some may start and some must wait."""
    later = datetime.now(UTC) + timedelta(hours=1)

    outcomes = write_all(ctx, [wish(ctx), wish(ctx, run_at=later)])

    assert [True, False] == [outcome.video.admitted_at is not None for outcome in outcomes]


def test_admission_goes_no_further_ahead_than_agreed(ctx):
    """Of a batch of 502 the first 500 start; the rest is dealt out by the sweep."""
    quotas.change(ctx, "ann", {"videos_limit": 1000})
    one = wish(ctx)
    wishes = [
        type(one)(row={**one.row, "id": f"video_{n:032x}"}, cost=one.cost) for n in range(502)
    ]

    outcomes = write_all(ctx, wishes)

    assert 500 == sum(outcome.video.admitted_at is not None for outcome in outcomes)


def test_batches_with_the_same_keys_do_not_both_write(ctx):
    """Eight batches of the same five keys at once: five videos, all others replays."""
    keys = ["a", "b", "c", "d", "e"]

    outcomes = race(
        *[lambda: write_all(ctx, [wish(ctx, prompt=k, key=k) for k in keys]) for _ in range(8)]
    )

    flat = [kind for outcome in outcomes for kind in kinds(outcome)]
    assert (5, 35) == (flat.count("new"), flat.count("replayed"))
    assert 5 == quota(ctx).videos_created
