"""Signals that ask us to end, as the one exception that Python code already expects."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM, SIGHUP and SIGINT into KeyboardInterrupt while the block runs.

    So Ctrl-C, a closed terminal and a process manager all unwind the same `with` blocks. SIGINT is
    named because a shell script starts its background jobs deaf to it. For the main thread only, as
    Python handles signals nowhere else.
    """
    former = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
