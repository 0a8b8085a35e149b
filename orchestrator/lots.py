"""What calls bring, written together: one thread for one kind of outcome takes what has come back
from whichever of them, and writes it in one transaction.

Unlike `gathering`, nobody waits here for the answer before the next call is made, so that few
threads are enough to fill a lot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Any

import structlog

from orchestrator.errors import DependencyBusy, DependencyDown

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.05
"""What has come back waits so long for others. A transaction costs as much as ten rows in it, and
calls come back one by one: nothing would gather by itself. Where no other call is under way,
nothing waits.
"""
AT_ONCE = 200

Told = Callable[[Any], None]


class Lots:
    """Writes with `write`, which takes some results and returns as many outcomes. It may be
    replaced by one for the same kind of results.
    """

    def __init__(self, write: Callable[[Sequence[Any]], Sequence[Any]]):
        self.write = write
        self._change = Condition()
        self._brought: list[tuple[Any, Told]] = []
        self._expected = 0
        self._thread: Thread | None = None

    def expect(self, number: int) -> None:
        """So many calls are going to be made. Each of them ends in `bring` or `bring_nothing`."""
        with self._change:
            self._expected += number
            if self._thread is None:
                self._thread = Thread(target=self._run, name="lots", daemon=True)
                self._thread.start()

    def bring(self, result: Any, told: Told) -> None:
        """One has come back; `told` is called with what became of its result, or the exception."""
        with self._change:
            self._brought.append((result, told))
            self._came()

    def bring_nothing(self) -> None:
        """One has come back, and there is nothing to write."""
        with self._change:
            self._came()

    def _came(self) -> None:
        self._expected -= 1
        # The thread sleeps on unless there is now one to wait with, or nobody to wait for.
        if len(self._brought) == 1 or not self._expected:
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._brought)
                self._change.wait_for(lambda: not self._expected, GATHER_SECONDS)
                lot, self._brought = self._brought[:AT_ONCE], self._brought[AT_ONCE:]
            self._settle(lot)

    def _settle(self, lot: Sequence[tuple[Any, Told]]) -> None:
        outcomes = self._outcomes([result for result, _ in lot])
        for (_, told), outcome in zip(lot, outcomes, strict=True):
            told(outcome)

    def _outcomes(self, results: Sequence[Any]) -> list[Any]:
        """What became of each. One that cannot be written does not take its neighbours along."""
        try:
            outcomes = list(self.write(results))
            if len(outcomes) != len(results):
                raise RuntimeError("a lot has as many outcomes as results")
        except Exception as error:
            away = isinstance(error, DependencyDown) and not isinstance(error, DependencyBusy)
            if away or len(results) == 1:
                return [error] * len(results)
            log.info("lot_failed", results=len(results), error=type(error).__name__)
            return [outcome for result in results for outcome in self._outcomes([result])]
        return outcomes
