"""Threads that make the calls of one message at the same time: providers take from a millisecond to
a minute, and a message names many videos.

Few threads are enough for a fast provider: more of them would only take the interpreter from each
other (64 instead of 6 cost a third of the speed). For a slow one there can be many. So a thread
whose call takes long counts no more: another one takes its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread, get_ident
from time import monotonic
from typing import Any, TypeVar

from orchestrator.lots import Lots

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = TypeVar("Outcome")

FEW, MANY = 4, 64
LONG_SECONDS = 0.05
"""A call that has taken longer waits for its provider, not for the interpreter."""
_LOOK_SECONDS = 0.25
"""So often those who wait see whether threads are lacking."""
_IDLE_SECONDS = 10.0


class Stopped(Exception):
    """The call was not made: this process ends, or cannot write what calls bring."""


@dataclass(slots=True)
class _Message:
    """What one caller wants to have called."""

    waiting: deque[Any]
    call: Callable[[Any], Any]
    done: SimpleQueue[tuple[Any, Any]] = field(default_factory=SimpleQueue)
    asked_in: Context = field(default_factory=copy_context)

    def bring(self, item: Any, result: Any) -> None:
        """The call has come back."""
        self.done.put((item, result))


@dataclass(slots=True)
class _Order(_Message):
    """The same, where what comes back is to be written."""

    lots: Lots = field(kw_only=True)
    over: Event = field(default_factory=Event)
    outcomes: list[tuple[Any, Any]] = field(default_factory=list)
    number: int = field(init=False)

    def __post_init__(self) -> None:
        self.number = len(self.waiting)
        self.lots.expect(self.number)

    def bring(self, item: Any, result: Any) -> None:
        """Have it written, if there is anything."""
        if result is None or isinstance(result, Exception):
            self.lots.bring_nothing()
            self._settle(item, result)
        else:
            self.lots.bring(result, partial(self._written, item))

    def _written(self, item: Any, outcome: Any) -> None:
        self._settle(item, outcome)
        if isinstance(outcome, Exception):
            # What the next calls bring could not be written either.
            with suppress(IndexError):
                while True:
                    self.bring(self.waiting.popleft(), Stopped())

    def _settle(self, item: Any, outcome: Any) -> None:
        self.outcomes.append((item, outcome))
        if len(self.outcomes) == self.number:
            self.over.set()


class Crew:
    """One for a process. Threads start with the first message that names several videos.

    clock: seconds, of any origin, by which a call is long.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._messages: deque[_Message] = deque()
        self._change = Condition()
        self._threads = 0
        self._begun: dict[int, float] = {}
        self._busy: set[str] = set()
        self._lots: dict[str, Lots] = {}
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

    def settle(
        self,
        items: Sequence[Item],
        call: Callable[[Item], Result | None],
        write: Callable[[Sequence[Result]], Sequence[Outcome]],
        *,
        name: str,
    ) -> list[tuple[Item, Outcome | Exception | None]]:
        """Call for each item, many at once, and have written what comes back, together with what
        others bring under this `name`. Returns when nothing is left to do, in no order.

        What a call does not return, or raises, is not written and stands in the answer; `Stopped`
        says that there was no call. What could not be written has the exception instead.

        Args:
            write: takes some results and returns as many outcomes, in a thread. Of those that were
                brought under one name the last one writes.
        """
        if not items:
            return []
        with self._change:
            lots = self._lots.setdefault(name, Lots(write))
            # Bound to the context of whoever asks, who may have other settings than the first one.
            lots.write = write
        order = _Order(deque(items), call, lots=lots)
        if len(items) == 1:
            order.bring(order.waiting.popleft(), self._result(items[0], call))
        else:
            self._take_on(order)
        while not order.over.wait(_LOOK_SECONDS):
            self._hurry(order)
        return order.outcomes

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
    def busy(self) -> int:
        """How many names are somebody's at the moment, see `alone`."""
        return len(self._busy)

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
                return message.done.get(timeout=_LOOK_SECONDS)
            self._hurry(message)

    def _hurry(self, message: _Message) -> None:
        with self._change:
            lacking = FEW - self._threads + self._long()
            for _ in range(min(lacking, len(message.waiting), MANY - self._threads)):
                self._start()

    def _long(self) -> int:
        """How many threads wait for their providers."""
        since = self._clock() - LONG_SECONDS
        return sum(began < since for began in tuple(self._begun.values()))

    def _start(self) -> None:
        self._threads += 1
        Thread(target=self._run, name="crew", daemon=True).start()

    def _run(self) -> None:
        spare = False
        while (job := self._take(spare)) is not None:
            message, item = job
            began = self._begun[get_ident()] = self._clock()
            # Each call has what the caller has bound for its log lines, such as the request.
            result = message.asked_in.copy().run(self._result, item, message.call)
            del self._begun[get_ident()]
            spare = self._clock() - began < LONG_SECONDS
            message.bring(item, result)

    def _take(self, spare: bool) -> tuple[_Message, Any] | None:
        """The next call: the messages take turns, so that none waits for the end of a longer one.
        None: this thread is not needed any longer.
        """
        with self._change:
            while not (spare and self._threads - self._long() > FEW):
                if not self._messages and not self._change.wait(_IDLE_SECONDS):
                    break
                message = self._messages.popleft() if self._messages else None
                if message is None:
                    continue
                # Whoever gave it up may be emptying it at this moment.
                with suppress(IndexError):
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
