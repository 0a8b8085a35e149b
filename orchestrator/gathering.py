"""Work that is done for many callers at once: what is asked for while the last lot is in hand is
the next lot.

There is no timer. A caller who is alone is served at once; the more there are, the larger the lots
grow, and the less each costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from orchestrator.errors import CommitUnknown, DependencyDown

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]

PATIENCE_SECONDS = 30.0
"""Longer than a lot can take: each of its statements ends after half of it."""
_AT_ONCE = 500


class Gathering:
    """One thread for one kind of work. It starts with the first caller, so that a process can fork
    before; a daemon, since each caller waits for what it asked for.
    """

    def __init__(self, *, patience: float = PATIENCE_SECONDS):
        self._patience = patience
        self._tickets: SimpleQueue[_Ticket] = SimpleQueue()
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
        ticket = _Ticket(item, work)
        self._tickets.put(ticket)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        if not ticket.done.acquire(timeout=self._patience):
            if ticket.take():
                raise DependencyDown("Too much is going on here. Nothing was changed.")
            raise CommitUnknown
        if ticket.error is not None:
            raise ticket.error
        result: Result = ticket.result
        return result

    def _start(self) -> None:
        with self._starting:
            # A fork takes the object along, but not its thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="gathering", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            tickets = [self._tickets.get()]
            with suppress(Empty):
                while len(tickets) < _AT_ONCE:
                    tickets.append(self._tickets.get_nowait())
            lot = [ticket for ticket in tickets if ticket.take()]
            if lot:
                _serve(lot)


def _serve(lot: Sequence[_Ticket]) -> None:
    try:
        results = lot[0].work([ticket.item for ticket in lot])
        for ticket, result in zip(lot, results, strict=True):
            ticket.result = result
    except Exception as error:
        for ticket in lot:
            ticket.error = error
    for ticket in lot:
        ticket.done.release()


class _Ticket:
    """One caller's item, and where its result goes."""

    __slots__ = ("_free", "done", "error", "item", "result", "work")

    def __init__(self, item: Any, work: Work[Any, Any]):
        self.item = item
        self.work = work
        self.result: Any = None
        self.error: Exception | None = None
        self.done = Lock()
        self.done.acquire()
        self._free = Lock()

    def take(self) -> bool:
        """Whether this decides what becomes of it: the thread by beginning, or the caller by going
        away.
        """
        return self._free.acquire(blocking=False)
