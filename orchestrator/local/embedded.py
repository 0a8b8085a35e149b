"""What the servers that run as our own children have in common."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from orchestrator.local.process import FolderLock, end, kill_group

_LAST_LINES = 5


class EmbeddedServer(ABC):
    """One server and its data in `folder`, which has the lock, the log and all that survives."""

    name: str
    stop_steps: Sequence[tuple[signal.Signals, float]]
    """Signals that end it in good order, and how long each is given."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.log = self.folder / f"{self.name}.log"
        self._data = self.folder / "data"
        self._lock = FolderLock(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect. Only while the server runs."""

    @abstractmethod
    def _serve(self) -> None:
        """Start the process and wait until it answers; the folder is ours."""

    def start(self) -> str:
        """Start the server, with what it needs made the first time, and return its URL.

        Raises ConfigurationError: the folder is in use, or the server does not come up (the log's
        end is in the message).
        """
        self._lock.acquire()
        try:
            self._serve()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server in good order, or else whatever it takes; harmless if none runs."""
        if self._process is not None:
            end(self._process, self.stop_steps)
            self._process = None
        self._lock.release()

    def poll(self) -> int | None:
        """The exit status of a server that ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """Kill the server, while a `stop` may be waiting for it; the next start recovers."""
        if (process := self._process) is not None:
            kill_group(process)

    def last_words(self) -> str:
        """The end of the log in one line, for an error message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or f"see {self.log}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
