"""One of our own commands as a supervised child process, its output in a log file."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.local.process import end, kill_group, spawn

STOP_SECONDS = 25.0
"""A worker finishes its calls to the provider first; what is cut off here, the lease recovers."""

LOG_BYTES = 10_000_000
"""A longer log is put aside at the next start, in place of the one put aside before."""


class Program:
    """A command line to run as `name`, with exactly `env`, writing to `logs/<name>.log`.

    The child writes the file itself: no pipe of ours can fill up, or break when we die.
    """

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], logs: Path):
        self.name = name
        self.argv = tuple(argv)
        self.env = dict(env)
        self.log = logs / f"{name}.log"
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> None:
        """Start the child; it may still take a while to be of use."""
        self.starts += 1
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = spawn(self.argv, env=self.env, output=output)

    def poll(self) -> int | None:
        """The exit status of a child that ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Stop the child and all that it started, by SIGKILL after so many seconds; harmless if it
        does not run.
        """
        if self._process is not None:
            end(self._process, ((signal.SIGTERM, patience),))
            self._process = None

    def kill(self) -> None:
        """Kill the child and all that it started, while a `stop` may be waiting for it."""
        if (process := self._process) is not None:
            kill_group(process)

    def output(self) -> str:
        """What the child has written since its last start."""
        return self._read()[self._log_start :].decode(errors="replace")

    def last_words(self) -> str:
        """The end of the log in one line, for an error message."""
        lines = self._read()[-4000:].decode(errors="replace").splitlines()
        return " | ".join([line.strip() for line in lines if line.strip()][-5:])

    def _read(self) -> bytes:
        return self.log.read_bytes() if self.log.exists() else b""
