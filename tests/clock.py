"""A clock for whatever takes one instead of looking at the wall."""

from __future__ import annotations


class Clock:
    """Seconds that pass only when a test moves `now`, or when somebody sleeps by this clock."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, and remember that somebody waited for it."""
        self.pauses.append(seconds)
        self.now += seconds
