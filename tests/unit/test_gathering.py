"""Work that is done for many callers at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

from orchestrator.errors import CommitUnknown, DependencyDown
from orchestrator.gathering import Gathering


@contextmanager
def busy(gathering):
    """A gathering whose thread is held up, until the returned event is set."""
    begun, free = Event(), Event()

    def hold(items):
        begun.set()
        assert free.wait(10)
        return items

    with ThreadPoolExecutor(1) as pool:
        pool.submit(gathering.ask, "held", hold)
        try:
            assert begun.wait(10)
            yield free
        finally:
            free.set()


def all_waiting(gathering, number):
    """Whether so many wait for their turn."""
    return gathering._tickets.qsize() == number


def until(condition):
    """Wait for something that other threads do."""
    tick = Event()
    for _ in range(1000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def test_one_caller_is_served_alone():
    """Nobody waits for others to come."""
    lots = []

    result = Gathering().ask(2, lambda items: lots.append(list(items)) or [n * 10 for n in items])

    assert 20 == result
    assert [[2]] == lots


def test_those_who_come_meanwhile_are_served_together():
    """One call of the work for all of them, and each gets its own result."""
    gathering, lots = Gathering(), []

    def work(items):
        lots.append(len(items))
        return [n * 10 for n in items]

    with ThreadPoolExecutor(20) as pool, busy(gathering) as free:
        asked = [pool.submit(gathering.ask, n, work) for n in range(20)]
        until(lambda: all_waiting(gathering, 20))
        free.set()

        assert [n * 10 for n in range(20)] == [one.result() for one in asked]
    assert [20] == lots


def test_who_comes_after_a_lot_of_several_waits_a_little_for_the_others():
    """Those who were answered together and ask again are served together again, as soon as all of
    them are there; who then is alone waits for nobody any more.
    """
    lots, waits, late = [], [], ["b again", "c again"]

    def wait(complete, seconds):
        seen = []
        while late:
            pool.submit(gathering.ask, late.pop(0), work)
            until(lambda: all_waiting(gathering, len(seen) + 1))
            seen.append(complete.is_set() if late else complete.wait(10))
        waits.append((seconds, seen))

    def work(items):
        lots.append(set(items))
        return items

    gathering = Gathering(rest=0.5, wait=wait)
    with ThreadPoolExecutor(5) as pool:
        with busy(gathering) as free:
            asked = [pool.submit(gathering.ask, who, work) for who in "abc"]
            until(lambda: all_waiting(gathering, 3))
            free.set()
            asked[0].result()
        for who in ("a again", "a alone", "a still alone"):
            gathering.ask(who, work)

    assert [set("abc"), {"a again", "b again", "c again"}, {"a alone"}, {"a still alone"}] == lots
    assert [[False, True], []] == [seen for _, seen in waits]
    assert all(0 < seconds <= 0.01 for seconds, _ in waits)


def test_nobody_waits_for_others_who_are_there_already():
    """As many as the last time came while that was in hand."""
    waits = []
    gathering = Gathering(rest=0.5, wait=lambda complete, seconds: waits.append(seconds))

    def work(items):
        if "a" in items:
            asked.extend(pool.submit(gathering.ask, who, list) for who in "de")
            until(lambda: all_waiting(gathering, 2))
        return items

    with ThreadPoolExecutor(4) as pool:
        asked = []
        with busy(gathering) as free:
            first = [pool.submit(gathering.ask, who, work) for who in "ab"]
            until(lambda: all_waiting(gathering, 2))
            free.set()
            assert ["a", "b"] == [one.result() for one in first]
        assert ["d", "e"] == [one.result() for one in asked]

    assert [] == waits


def test_error_goes_to_all_of_its_lot_and_the_next_lot_goes_well():
    """The thread outlives what the work raises."""
    gathering = Gathering()

    def work(items):
        raise ValueError(sorted(items))

    with ThreadPoolExecutor(2) as pool, busy(gathering) as free:
        asked = [pool.submit(gathering.ask, n, work) for n in range(2)]
        until(lambda: all_waiting(gathering, 2))
        free.set()

        assert ["[0, 1]", "[0, 1]"] == [str(one.exception()) for one in asked]
    assert 7 == gathering.ask(7, list)


def test_too_few_results_are_an_error_of_all():
    """Nobody gets the result of somebody else, or waits for one that never comes."""
    with pytest.raises(ValueError, match="shorter"):
        Gathering().ask(1, lambda items: [])


def test_caller_who_gave_up_is_left_out():
    """Whoever was told that nothing happened must be right."""
    gathering, done = Gathering(patience=0.05), []

    def work(items):
        done.extend(items)
        return items

    with busy(gathering), pytest.raises(DependencyDown) as caught:
        gathering.ask(1, work)
    gathering.patience = 10
    gathering.ask(2, work)

    assert DependencyDown is caught.type
    assert [2] == done


def test_caller_who_gave_up_too_late_is_told_that_nobody_knows():
    """What has begun may still be done."""
    gathering, free = Gathering(patience=0.05), Event()

    with pytest.raises(CommitUnknown):
        gathering.ask(1, lambda items: free.wait(10) and items)
    free.set()


def test_a_forked_process_has_a_thread_of_its_own():
    """A server that was used before it forked serves after it."""
    script = """
import os
from orchestrator.gathering import Gathering

gathering = Gathering(patience=5)
gathering.ask(1, list)
child = os.fork()
if child == 0:
    os._exit(gathering.ask(7, list))
assert 2 == gathering.ask(2, list)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=30
    )

    assert ("7\n", "") == (done.stdout, done.stderr)
