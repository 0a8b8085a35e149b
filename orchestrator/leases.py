"""The leases that this process holds, and the one thread that keeps them alive.

A lease measures the process, not the call: however long a provider takes to answer, the lease lives
on while the process does, and runs out soon after its death.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

import structlog

from orchestrator.db import queue
from orchestrator.db.engine import Database
from orchestrator.errors import DependencyDown
from orchestrator.ids import uuid7_hex

log = structlog.get_logger(__name__)


class Leases:
    """Tokens in use, renewed together every third of their duration (`seconds`)."""

    def __init__(self, database: Database, seconds: float):
        self.seconds = seconds
        self._database = database
        self._tokens: set[str] = set()
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    @contextmanager
    def hold(self) -> Iterator[str]:
        """A fresh token whose leases are kept alive until the block ends."""
        token = uuid7_hex()
        with self._lock:
            self._tokens.add(token)
            if self._thread is None:
                self._thread = Thread(target=self._beat, name="leases", daemon=True)
                self._thread.start()
        try:
            yield token
        finally:
            with self._lock:
                self._tokens.discard(token)

    def renew(self) -> None:
        """Prolong what is held. A failure is no harm yet: the next beat comes before the leases run
        out.
        """
        with self._lock:
            tokens = list(self._tokens)
        if not tokens:
            return
        try:
            with self._database.transaction() as connection:
                queue.renew(connection, tokens, seconds=self.seconds)
        except DependencyDown:
            log.warning("leases_not_renewed", held=len(tokens))

    def _beat(self) -> None:
        while not self._stop.wait(self.seconds / 3):
            self.renew()

    def close(self) -> None:
        """Stop the thread. What is still held runs out by itself."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
