"""Lots: what calls bring is written together, and told to whoever waits."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event

import pytest

from orchestrator.errors import DependencyBusy, DependencyDown
from orchestrator.lots import Lots

WAIT = 10


class Ledger:
    """Keeps which lots it was given; those with a negative number fail with `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.lots: list[list[int]] = []
        self.error = error

    def write(self, numbers: Sequence[int]) -> list[int]:
        """Their squares."""
        self.lots.append(list(numbers))
        if self.error is not None and min(numbers) < 0:
            raise self.error
        return [number * number for number in numbers]


def outcomes(lots: Lots, numbers: Sequence[int]) -> list[object]:
    """What becomes of these when they come back in a row."""
    told: SimpleQueue[object] = SimpleQueue()
    lots.expect(len(numbers))
    for number in numbers:
        lots.bring(number, told.put)
    return [told.get(timeout=WAIT) for _ in numbers]


def test_all_that_came_are_written_together() -> None:
    """As long as others are under way, nothing is written alone."""
    ledger = Ledger()

    found = outcomes(Lots(ledger.write), range(50))

    assert [n * n for n in range(50)] == found
    assert [list(range(50))] == ledger.lots


def test_lot_does_not_wait_for_a_slow_call() -> None:
    """Whoever waits for its provider keeps no neighbour from being written."""
    ledger = Ledger()
    lots = Lots(ledger.write)
    told = Event()
    lots.expect(2)

    lots.bring(1, lambda _: told.set())

    assert told.wait(WAIT)
    assert [[1]] == ledger.lots


def test_call_without_a_result_holds_nothing_up() -> None:
    """When none of the others brings anything, the one that did is written."""
    ledger = Ledger()
    lots = Lots(ledger.write)
    told = Event()
    lots.expect(2)

    lots.bring(1, lambda _: told.set())
    lots.bring_nothing()

    assert told.wait(WAIT)


@pytest.mark.parametrize("error", [ValueError("minus one"), DependencyBusy()])
def test_one_that_cannot_be_written_spoils_nothing_for_the_others(error: Exception) -> None:
    """A lot that fails is written one by one, and only the bad one hears of it."""
    ledger = Ledger(error)

    found = outcomes(Lots(ledger.write), [3, -1, 4])

    assert [9, error, 16] == found


def test_nothing_is_tried_again_while_the_database_is_away() -> None:
    """It would fail for each of them, and each would take its time."""
    ledger = Ledger(DependencyDown("It is away."))

    found = outcomes(Lots(ledger.write), [1, -2, 3])

    assert [ledger.error] * 3 == found
    assert [[1, -2, 3]] == ledger.lots
