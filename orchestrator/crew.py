"""Threads that make the calls of one message at the same time: providers take from a millisecond to
a minute, and a message names many videos.

Few threads are enough for a fast provider: more of them would only take the interpreter from each
other (64 instead of 6 cost a third of the speed). For a slow one there can be many. So there are as
many as it takes to bring everybody who waits a result now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW, MANY = 4, 64
SLOW_SECONDS = 0.25
"""Whoever has had no result for so long gets another thread; who was faster may go."""
_IDLE_SECONDS = 10.0


class Stopped(Exception):
    """The call was not made: this process ends."""


@dataclass(slots=True)
class _Message:
    """What one caller wants to have called."""

    waiting: deque[Any]
    call: Callable[[Any], Any]
    done: SimpleQueue[tuple[Any, Any]] = field(default_factory=SimpleQueue)


class Crew:
    """One for a process. Threads start with the first message that names several videos."""

    def __init__(self) -> None:
        self._messages: deque[_Message] = deque()
        self._change = Condition()
        self._threads = 0
        self._busy: set[str] = set()
        self._stopped = Event()

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
        if len(items) <= 1 or not together:
            for item in items:
                yield [(item, self._result(item, call))]
            return
        message = _Message(deque(items), call)
        self._take_on(message)
        left = len(items)
        try:
            while left:
                lot = [self._next(message)]
                with suppress(Empty):
                    while True:
                        lot.append(message.done.get_nowait())
                left -= len(lot)
                yield lot
        finally:
            message.waiting.clear()

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether nobody else in this process is at what has this name."""
        with self._change:
            free = name not in self._busy
            self._busy.add(name)
        try:
            yield free
        finally:
            if free:
                with self._change:
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

    def _take_on(self, message: _Message) -> None:
        with self._change:
            self._messages.append(message)
            self._change.notify(min(FEW, len(message.waiting)))
            while self._threads < min(FEW, len(message.waiting)):
                self._start()

    def _next(self, message: _Message) -> tuple[Any, Any]:
        while True:
            with suppress(Empty):
                return message.done.get(timeout=SLOW_SECONDS)
            with self._change:
                if message.waiting and self._threads < MANY:
                    self._start()

    def _start(self) -> None:
        self._threads += 1
        Thread(target=self._run, name="crew", daemon=True).start()

    def _run(self) -> None:
        spare = False
        while (job := self._take(spare)) is not None:
            message, item = job
            began = monotonic()
            message.done.put((item, self._result(item, message.call)))
            spare = monotonic() - began < SLOW_SECONDS / 2

    def _take(self, spare: bool) -> tuple[_Message, Any] | None:
        """The next call: the messages take turns, so that none waits for the end of a longer one.
        None: this thread is not needed any longer.
        """
        with self._change:
            while not (spare and self._threads > FEW):
                if not self._messages and not self._change.wait(_IDLE_SECONDS):
                    break
                message = self._messages.popleft() if self._messages else None
                if message is not None and message.waiting:
                    item = message.waiting.popleft()
                    if message.waiting:
                        self._messages.append(message)
                    return message, item
            self._threads -= 1
        return None

    def _result(self, item: Item, call: Callable[[Item], Result]) -> Result | Exception:
        if self._stopped.is_set():
            return Stopped()
        try:
            return call(item)
        except Exception as error:
            return error
