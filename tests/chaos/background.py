"""Something that goes on beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Calls `act` again and again, `pause` seconds apart, while the block runs."""

    def __init__(self, act: Callable[[], object], pause: float):
        self._act = act
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            self._act()
