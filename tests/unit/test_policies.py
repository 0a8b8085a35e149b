"""How long, how often, how much: pure functions with the clock and the dice as arguments."""

import pytest

from orchestrator.lifecycle import Status
from orchestrator.policies import (
    CIRCUIT_FAILURES,
    DELIVERY_WAITS,
    ENOUGH_DURATIONS,
    backoff,
    cache_ttl,
    circuit_wait,
    client_delay,
    default_videos_limit,
    delivery_wait,
    jittered,
    poll_delay,
    typical_duration,
)

EVEN = 0.5  # the roll of the dice that changes nothing


@pytest.mark.parametrize(
    ("age", "expected"), [(-5, 5), (0, 5), (60, 10), (120, 15), (1_000_000, 15)]
)
def test_clients_are_asked_to_look_more_rarely_when_a_video_gets_older(age, expected):
    """From 5 to 15 seconds, also where clocks disagree."""
    assert expected == client_delay(age)


@pytest.mark.parametrize(("dice", "expected"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_jitter_spreads_twenty_per_cent_around_the_wait(dice, expected):
    """The dice move a wait between 80 and 120 %."""
    assert pytest.approx(expected) == jittered(10, dice)


@pytest.mark.parametrize(
    ("failures", "expected"), [(0, 2), (1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (10_000, 60)]
)
def test_backoff_doubles_when_failures_follow_each_other(failures, expected):
    """Each failure in a row doubles the wait, up to the ceiling, however many there were."""
    assert expected == backoff(2, failures, EVEN, ceiling=60)


def test_first_polls_come_at_growing_distances_when_nothing_was_observed():
    """From the minimum on, each wait is half as long again as the one before, up to 15 s."""
    age, waits = 0.0, []
    for _ in range(7):
        waits.append(poll_delay(age, 2, EVEN))
        age += waits[-1]

    assert pytest.approx([2, 3, 4.5, 6.75, 10.125, 15, 15]) == waits


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, 50),  # sparse: straight to half of what is typical
        (30, 20),
        (49.9, 2),
        (50, 2),  # dense around it
        (199, 2),
        (201, 15),  # sparse again
    ],
)
def test_polls_follow_what_is_typical_when_that_is_known(age, expected):
    """Sparse before half of the typical time, dense around it, sparse after twice."""
    assert expected == poll_delay(age, 2, EVEN, typical=100.0)


@pytest.mark.parametrize(
    ("number", "typical"), [(0, None), (ENOUGH_DURATIONS - 1, None), (ENOUGH_DURATIONS, 100.0)]
)
def test_what_is_typical_is_the_median_of_enough(number, typical):
    """Nineteen durations prove nothing yet, and one that took for ever proves nothing at all."""
    observed = [100.0] * (number - 1) + [9999.0] * bool(number)

    assert typical == typical_duration(observed)


@pytest.mark.parametrize("age", [0, 40, 90, 250, 10_000])
@pytest.mark.parametrize("typical", [None, 100.0])
def test_polls_are_never_denser_than_the_minimum(age, typical):
    """An operator's long POLL_MIN_SECONDS holds at every age, above the ceiling too."""
    assert poll_delay(age, 40, EVEN, typical=typical) >= 40


def test_a_hint_of_the_provider_is_a_lower_bound():
    """What the provider asks for is never undercut, and a shorter hint speeds nothing up."""
    assert 30 == poll_delay(0, 2, EVEN, hint=30)
    assert 2 == poll_delay(0, 2, EVEN, hint=0.5)


@pytest.mark.parametrize(
    ("status", "seconds"),
    [(status, 3600 if status == Status.COMPLETED else 300) for status in Status],
)
def test_cache_ttl_is_an_hour_for_completed_videos_alone(status, seconds):
    """What no longer changes may stay; everything else goes after five minutes."""
    assert seconds == cache_ttl(status)


@pytest.mark.parametrize(("user_id", "limit"), [("admin", 1000), ("anonymous", 10), ("ann", 100)])
def test_default_limit_depends_on_the_user(user_id, limit):
    """A thousand for the admin, ten for the unknown, a hundred for all others."""
    assert limit == default_videos_limit(user_id)


def test_deliveries_wait_longer_from_attempt_to_attempt_until_they_end():
    """Ten attempts within about three days, each wait longer than the one before."""
    waits = [delivery_wait(attempts, EVEN) for attempts in range(1, 12)]

    assert [*DELIVERY_WAITS, None, None] == waits
    assert sorted(DELIVERY_WAITS) == list(DELIVERY_WAITS)
    assert 3 * 86_400 < sum(DELIVERY_WAITS) < 4 * 86_400


@pytest.mark.parametrize(("dice", "expected"), [(0.0, 270.0), (0.5, 300.0), (1.0, 330.0)])
def test_waits_of_deliveries_spread_ten_per_cent(dice, expected):
    """Receivers that come back are not all told at the same moment."""
    assert pytest.approx(expected) == delivery_wait(2, dice)


@pytest.mark.parametrize(("asked", "expected"), [(None, 5), (1, 5), (60, 60)])
def test_receivers_can_lengthen_a_wait_but_not_shorten_it(asked, expected):
    """Retry-After is a lower bound; it does not make up for the last attempt."""
    assert expected == delivery_wait(1, EVEN, asked=asked)
    assert None is delivery_wait(10, EVEN, asked=asked)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [(0, 0), (CIRCUIT_FAILURES - 1, 0), (CIRCUIT_FAILURES, 5), (5, 20), (9, 300), (10_000, 300)],
)
def test_failing_receivers_are_left_alone_for_minutes(failures, expected):
    """From the third failure in a row on, and never for longer than five minutes."""
    assert expected == circuit_wait(failures, EVEN)
