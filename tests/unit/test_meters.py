"""Counting: nothing is lost between two tellings, and each second finds its bucket."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.meters import (
    COUNTERS,
    CREATED,
    HISTOGRAMS,
    OVER,
    PROVIDER_CALLS,
    PROVIDER_SECONDS,
    SUM,
    SWEEP_SECONDS,
    Meters,
)


def test_counts_are_told_once_when_taken():
    """What was taken is not there the next time."""
    meters = Meters()
    meters.count(CREATED, "sora-2")
    meters.count(CREATED, "sora-2", n=2)

    first, second = meters.take(), meters.take()

    assert {(CREATED.name, "", "sora-2"): 3} == first
    assert {} == second


def test_counts_stay_when_they_are_put_back():
    """What could not be told is told with what came meanwhile."""
    meters = Meters()
    meters.count(CREATED, "sora-2")
    taken = meters.take()
    meters.count(CREATED, "sora-2")

    meters.put_back(taken)

    assert {(CREATED.name, "", "sora-2"): 2} == meters.take()


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (31, OVER)]
)
def test_observation_falls_into_the_bucket_when_its_bound_is_the_first_not_below(seconds, bucket):
    """A bound belongs to its bucket."""
    meters = Meters()

    meters.observe(SWEEP_SECONDS, seconds)

    name = SWEEP_SECONDS.name
    assert {(name, bucket): 1, (name, SUM): seconds} == meters.take()


def test_call_is_counted_and_timed_when_both_are_wanted():
    """The counter says what became of it, the histogram how long it took."""
    meters = Meters()

    meters.timed(PROVIDER_CALLS, PROVIDER_SECONDS, 0.2, ("default", "create"), "ok")

    assert {
        (PROVIDER_CALLS.name, "", "default", "create", "ok"): 1,
        (PROVIDER_SECONDS.name, "0.25", "default", "create"): 1,
        (PROVIDER_SECONDS.name, SUM, "default", "create"): 0.2,
    } == meters.take()


def test_counts_are_whole_when_threads_count_and_take_at_once():
    """Each is in exactly one of the tellings."""
    meters = Meters()
    taken = []

    def work(_):
        for _ in range(200):
            meters.count(CREATED, "sora-2")
        taken.append(meters.take())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))

    assert 16 * 200 == sum(n for one in taken for n in one.values())


def test_names_follow_the_custom_when_prometheus_reads_them():
    """Counters end in `_total`, times in their unit, all begin with ours and are there once."""
    names = [one.name for one in (*COUNTERS, *HISTOGRAMS)]

    assert len(names) == len(set(names))
    assert [] == [name for name in names if not name.startswith("orchestrator_")]
    assert [] == [one.name for one in COUNTERS if not one.name.endswith("_total")]
    assert [] == [one.name for one in HISTOGRAMS if not one.name.endswith("_seconds")]
    assert [] == [one.name for one in HISTOGRAMS if list(one.bounds) != sorted(set(one.bounds))]
