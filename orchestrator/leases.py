"""The leases that this process holds, and the one thread that keeps them alive.

A lease measures the process, not the call: however long a provider takes to answer, the lease lives
on while the process does, and runs out soon after its death.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

import structlog

from orchestrator.db import queue
from orchestrator.db.engine import Database
from orchestrator.errors import DependencyDown
from orchestrator.ids import uuid7_hex

log = structlog.get_logger(__name__)


def _running() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Leases:
    """Tokens in use, renewed together every third of their duration (`seconds`).

    clock: seconds, of any origin, that go on while this process does not.
    """

    def __init__(
        self, database: Database, seconds: float, *, clock: Callable[[], float] = _running
    ):
        self.seconds = seconds
        self._database = database
        self._clock = clock
        self._tokens: dict[str, float] = {}
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @contextmanager
    def hold(self) -> Iterator[str]:
        """A fresh token whose leases are kept alive until the block ends."""
        token = uuid7_hex()
        with self._lock:
            self._tokens[token] = self._clock()
            if self._thread is None:
                self._thread = Thread(target=self._beat, name="leases", daemon=True)
                self._thread.start()
        try:
            yield token
        finally:
            with self._lock:
                self._tokens.pop(token, None)

    def alive(self, token: str) -> bool:
        """Whether the leases of this token have not run out since they were taken. Once they have,
        for a process that stood still, somebody else may be at the same work; that they could be
        renewed later does not change it.
        """
        with self._lock:
            return self._is_alive(token)

    def _is_alive(self, token: str) -> bool:
        renewed = self._tokens.get(token)
        return renewed is not None and self._clock() - renewed < self.seconds

    def renew(self) -> None:
        """Prolong what is held. A failure is no harm yet: the next beat comes before the leases run
        out.
        """
        with self._lock:
            tokens = list(self._tokens)
        if not tokens:
            return
        began = self._clock()
        try:
            with self._database.transaction() as connection:
                queue.renew(connection, tokens, seconds=self.seconds)
        except DependencyDown:
            log.warning("leases_not_renewed", held=len(tokens))
            return
        with self._lock:
            self._tokens |= {token: began for token in tokens if self._is_alive(token)}

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds / 3):
            self.renew()

    def close(self) -> None:
        """Stop the thread. What is still held runs out by itself."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
