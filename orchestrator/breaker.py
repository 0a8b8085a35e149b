"""A fuse for services that we can do without: after a failure nobody asks them for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 1.0


class Breaker:
    """Open for some seconds after each failure. A service that hangs then costs one caller its
    timeout, not every caller every time. `monotonic` is a clock in seconds.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, *, seconds: float = SECONDS
    ):
        self._monotonic = monotonic
        self._seconds = seconds
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether to do without for now."""
        return self._monotonic() < self._open_until

    def trip(self) -> None:
        """It has just failed."""
        self._open_until = self._monotonic() + self._seconds
