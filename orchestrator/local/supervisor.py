"""Keeps services running: starts them, restarts what ends by itself, stops all in order.

One thread starts everything, for the kernel ties a child's leash to the thread that started it (see
`process`). Callers hand it work and wait for the outcome.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from orchestrator.errors import OrchestratorError

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pause before each restart in a row; the last one repeats."""

STEADY_SECONDS = 60.0
"""A service that ran this long is forgiven its earlier falls."""

_TICK_SECONDS = 0.1


class Service(Protocol):
    """Something to keep running."""

    name: str

    def start(self) -> object:
        """Start it. Raises OrchestratorError if that cannot work."""

    def poll(self) -> int | None:
        """The exit status if it ended by itself, else None."""

    def stop(self) -> None:
        """Stop it gently, within a bound, and clear up after it; harmless if it has ended."""

    def kill(self) -> None:
        """Make a `stop` that goes on in another thread end now."""


@dataclass
class _Charge:
    """One service in the supervisor's care."""

    service: Service
    started_at: float
    falls: int = 0
    restart_at: float | None = None


class Supervisor:
    """Start services in the order of their dependence; `stop` ends them in the reverse order.

    `report` gets one sentence for each fall and restart, from the supervisor's thread.
    """

    def __init__(
        self, report: Callable[[str], None], *, backoff: Sequence[float] = BACKOFF_SECONDS
    ):
        self._report = report
        self._backoff = backoff
        self._batches: list[list[_Charge]] = []
        self._work: queue.SimpleQueue[tuple[Callable[[], None], Future[None]] | None]
        self._work = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def start(self, *services: Service) -> None:
        """Start services that may be stopped together, and keep them running.

        Raises what the first start that fails raises; `stop` then stops the others.
        """
        self._perform(lambda: self._take(services))

    def stop(self) -> None:
        """Stop all services and end. A KeyboardInterrupt meanwhile kills what is left."""
        if not self._thread.is_alive():
            return
        try:
            self._perform(self._stop_all)
        except KeyboardInterrupt:
            for batch in self._batches:
                for charge in batch:
                    charge.service.kill()
        self._work.put(None)
        self._thread.join()

    def _perform(self, action: Callable[[], None]) -> None:
        outcome: Future[None] = Future()
        self._work.put((action, outcome))
        outcome.result()

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                self._watch()
                continue
            if work is None:
                return
            action, outcome = work
            try:
                action()
            except Exception as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

    def _take(self, services: Sequence[Service]) -> None:
        batch: list[_Charge] = []
        self._batches.append(batch)
        for service in services:
            service.start()
            batch.append(_Charge(service, time.monotonic()))

    def _watch(self) -> None:
        for batch in self._batches:
            for charge in batch:
                if charge.restart_at is not None:
                    if time.monotonic() >= charge.restart_at:
                        self._restart(charge)
                elif (status := charge.service.poll()) is not None:
                    self._mourn(charge, f"ended with status {status}")

    def _mourn(self, charge: _Charge, cause: str) -> None:
        now = time.monotonic()
        charge.service.stop()
        charge.falls = 1 if now - charge.started_at > STEADY_SECONDS else charge.falls + 1
        pause = self._backoff[min(charge.falls, len(self._backoff)) - 1]
        charge.restart_at = now + pause
        self._report(f"{charge.service.name} {cause}; starting it again in {pause:g} s")

    def _restart(self, charge: _Charge) -> None:
        charge.started_at = time.monotonic()
        charge.restart_at = None
        try:
            charge.service.start()
        except OrchestratorError as error:
            self._mourn(charge, f"did not start ({error.message})")
        else:
            self._report(f"{charge.service.name} is running again")

    def _stop_all(self) -> None:
        while self._batches:
            batch = self._batches[-1]
            with ThreadPoolExecutor(max_workers=len(batch) or 1) as pool:
                for stopped in [pool.submit(charge.service.stop) for charge in batch]:
                    stopped.result()
            self._batches.pop()
