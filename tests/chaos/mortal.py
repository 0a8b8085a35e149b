"""The workers' application, in a process that dies on demand: `celery -A tests.chaos.mortal worker
…`.

The file named by MORTAL_FILE says where: `step:number:moment`, the number-th commit of that step,
`before` or `after` it. The process removes the file and kills itself there, so that its successor
lives.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from orchestrator import acceptances, context
from orchestrator.db.engine import Database
from orchestrator.steps import pictures, poll, store, submit

_here = threading.local()
_wish = Path(os.environ["MORTAL_FILE"])


def _die_if_wished(moment: str) -> None:
    step, number = getattr(_here, "step", None), getattr(_here, "number", 0)
    if step and _wish.exists() and _wish.read_text() == f"{step}:{number}:{moment}":
        _wish.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(Database):
    """Counts the commits of the step that its thread is at work for."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As ever, but for what may happen around the commit."""
        with super().transaction() as connection:
            yield connection
            _here.number = getattr(_here, "number", 0) + 1
            _die_if_wished("before")
        _die_if_wished("after")


def _counted(step: str, work: Callable[..., Any], committed: int = 0) -> Callable[..., Any]:
    """`work` belongs to a step that has committed so often before."""

    def counting(*args: Any, **named: Any) -> Any:
        _here.step, _here.number = step, committed
        try:
            return work(*args, **named)
        finally:
            _here.step = None

    return counting


context.Database = MortalDatabase  # type: ignore[misc]
submit.submit = _counted("submit", submit.submit)
poll.poll = _counted("poll", poll.poll)
store.store = _counted("store", store.store)
# What came back is written by a thread of its own.
acceptances.accepted_all = _counted("submit", acceptances.accepted_all, committed=1)
store.complete_all = _counted("store", store.complete_all, committed=1)
pictures.add = _counted("store", pictures.add, committed=2)

from workers.app import app  # noqa: E402 - what it works with is exchanged first

__all__ = ["app"]
