"""Work that is done for many callers at once: what is asked for while the last lot is in hand is
the next lot.

A caller who is alone is served at once; the more there are, the larger the lots grow, and the less
each costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any, NoReturn, TypeVar

from orchestrator.errors import CommitUnknown, DependencyDown

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]

PATIENCE_SECONDS = 30.0
"""Longer than a lot can take: each of its statements ends after half of it."""
_AT_ONCE = 500
_PAUSE_SECONDS = 0.01
"""Nobody waits longer for company."""


class Gathering:
    """One thread for one kind of work. It starts with the first caller, so that a process can fork
    before; a daemon, since each caller waits for what it asked for.

    Those who were answered just now often ask again at once. A lot that does not wait for them has
    only who came while the last one was in hand: half of all, at nearly the same cost. One that
    waits longer than until as many are there again wastes what it waits.

    Args:
        patience: seconds after which a caller goes away.
        rest: after a lot of several the next one waits for as many, at most for this part of the
            time that the last one took.
        wait: waits for an event, for so many seconds at most.
    """

    def __init__(
        self,
        *,
        patience: float = PATIENCE_SECONDS,
        rest: float = 0.0,
        wait: Callable[[Event, float], object] = Event.wait,
    ):
        self.patience = patience
        self._rest = rest
        self._wait = wait
        self._tickets: SimpleQueue[Ticket] = SimpleQueue()
        self._expected: float = inf
        self._complete = Event()
        self._starting = Lock()
        self._thread: Thread | None = None

    def ask(self, item: Item, work: Work[Item, Result]) -> Result:
        """What `work` makes of this item, together with others that came meanwhile.

        Args:
            work: takes some items and returns as many results. Whoever asks here brings the same
                one; it is called in the thread.
        Raises:
            DependencyDown: it was not begun in good time, and will not be.
            CommitUnknown: it was begun, and takes too long.
            Exception: what `work` raised, to all whose items it had.
        """
        done = Lock()
        done.acquire()
        ticket = self.put(item, work, done.release)
        result: Result = ticket.outcome() if done.acquire(timeout=self.patience) else ticket.late()
        return result

    def put(self, item: Item, work: Work[Item, Result], done: Callable[[], object]) -> Ticket:
        """As `ask`, for who cannot wait here: `done` is called in the thread once there is an
        outcome. Whoever has no more patience asks the ticket what is late.
        """
        ticket = Ticket(item, work, done)
        self._tickets.put(ticket)
        if self._tickets.qsize() >= self._expected:
            self._complete.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()
        return ticket

    def _start(self) -> None:
        with self._starting:
            # A fork takes the object along, but not its thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="gathering", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        last, seconds = 1, 0.0
        while True:
            tickets = [self._tickets.get()]
            if last > 1 and seconds:
                self._await_company(last - 1, seconds)
            with suppress(Empty):
                while len(tickets) < _AT_ONCE:
                    tickets.append(self._tickets.get_nowait())
            lot = [ticket for ticket in tickets if ticket.take()]
            began = perf_counter()
            if lot:
                _serve(lot)
            last = len(lot)
            seconds = min((perf_counter() - began) * self._rest, _PAUSE_SECONDS)

    def _await_company(self, number: int, seconds: float) -> None:
        self._complete.clear()
        # First said, then looked: who comes in between has seen it.
        self._expected = number
        if self._tickets.qsize() < number:
            self._wait(self._complete, seconds)
        self._expected = inf


def _serve(lot: Sequence[Ticket]) -> None:
    try:
        results = lot[0].work([ticket.item for ticket in lot])
        for ticket, result in zip(lot, results, strict=True):
            ticket.result = result
    except Exception as error:
        for ticket in lot:
            ticket.error = error
    for ticket in lot:
        ticket.done()


class Ticket:
    """One caller's item, and what became of it."""

    __slots__ = ("_free", "done", "error", "item", "result", "work")

    def __init__(self, item: Any, work: Work[Any, Any], done: Callable[[], object]):
        self.item = item
        self.work = work
        self.done = done
        self.result: Any = None
        self.error: Exception | None = None
        self._free = Lock()

    def take(self) -> bool:
        """Whether this decides what becomes of it: the thread by beginning, or the caller by going
        away.
        """
        return self._free.acquire(blocking=False)

    def outcome(self) -> Any:
        """The result, once it is done; raises what the work has raised."""
        if self.error is not None:
            raise self.error
        return self.result

    def late(self) -> NoReturn:
        """Go away without an outcome.

        Raises:
            DependencyDown: it was not begun, and will not be.
            CommitUnknown: it was begun.
        """
        if self.take():
            raise DependencyDown("Too much is going on here. Nothing was changed.")
        raise CommitUnknown
