"""Ends what takes too long. One timer serves everybody: hardly anything ever runs into it, and to
set and cancel one of its own would cost a request a tenth of its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

Late: TypeAlias = Callable[[], object]

SLACK_SECONDS = 0.1
"""By so much somebody's time may be over before that is seen. Each look goes through all: whoever
opens thousands of connections and says nothing on them must not cause thousands of looks.
"""


class Deadlines:
    """For one event loop. Times are the loop's own."""

    def __init__(self) -> None:
        self._due: dict[object, tuple[float, Late]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, name: object, when: float, late: Late) -> None:
        """Call `late` once, at `when` or a little later, unless this name is cleared before or gets
        another time.
        """
        self._due[name] = when, late
        if self._timer is None or when < self._timer.when():
            self._look_at(when)

    def clear(self, name: object) -> None:
        """It has come in time, or it does not matter any longer."""
        self._due.pop(name, None)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for name in [name for name, (when, _) in self._due.items() if when <= now]:
            _, late = self._due.pop(name)
            late()
        if self._due:
            soonest = min(when for when, _ in self._due.values())
            self._look_at(max(soonest, now + SLACK_SECONDS))
