"""Threads that make the calls of one message at the same time: providers take from a millisecond to
a minute, and a message names many videos.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SIZE = 64
"""Threads of one process; they are started when they are needed."""
WIDTH = 16
"""Calls of one message at once, so that a slow provider has not all threads to itself."""


class Stopped(Exception):
    """The call was not made: this process ends."""


class Crew:
    """One for a process. Threads start with the first message that names several videos."""

    def __init__(self, *, size: int = SIZE, width: int = WIDTH):
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="crew")
        self._width = width
        self._stopped = Event()
        self._lock = Lock()
        self._busy: set[str] = set()

    def each(
        self, items: Sequence[Item], call: Callable[[Item], Result], *, together: bool = True
    ) -> Iterator[list[tuple[Item, Result | Exception]]]:
        """Call for each item, many at once; yields what came back, in lots: what comes while the
        last lot is being dealt with is the next one. Nobody waits for the slowest.

        An exception takes the place of a result; `Stopped` says that there was no call. Whoever
        stops listening is called no more.

        Args:
            together: if not, one after the other, each when the one before was dealt with.
        """
        if len(items) == 1 or not together:
            for item in items:
                yield [(item, self._result(item, call))]
            return
        waiting = deque(items)
        done: SimpleQueue[tuple[Item, Result | Exception]] = SimpleQueue()
        for _ in range(min(len(items), self._width)):
            self._pool.submit(self._run, waiting, call, done)
        left = len(items)
        try:
            while left:
                lot = [done.get()]
                with suppress(Empty):
                    while True:
                        lot.append(done.get_nowait())
                left -= len(lot)
                yield lot
        finally:
            waiting.clear()

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether nobody else in this process is at what has this name."""
        with self._lock:
            free = name not in self._busy
            self._busy.add(name)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.discard(name)

    @property
    def stopped(self) -> bool:
        """Whether this process ends."""
        return self._stopped.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the process."""
        if seconds > 0:
            self._stopped.wait(seconds)

    def stop(self) -> None:
        """Make no further calls; those under way go on."""
        self._stopped.set()

    def close(self) -> None:
        """Let the threads end when their calls have."""
        self.stop()
        self._pool.shutdown(wait=False)

    def _run(self, waiting: deque[Any], call: Callable[[Any], Any], done: SimpleQueue[Any]) -> None:
        with suppress(IndexError):
            while True:
                item = waiting.popleft()
                done.put((item, self._result(item, call)))

    def _result(self, item: Item, call: Callable[[Item], Result]) -> Result | Exception:
        if self._stopped.is_set():
            return Stopped()
        try:
            return call(item)
        except Exception as error:
            return error
