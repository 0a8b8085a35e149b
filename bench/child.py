"""A program under measurement: what it costs, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from orchestrator.local.process import end, spawn

READY_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Child:
    """A program that runs until the block ends, with exactly `env`, writing to `log`."""

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], log: Path):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = spawn(argv, env=env, output=output)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once it is of use. Raises RuntimeError with the end of its log if it never is."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                lines = self.log.read_text(errors="replace").splitlines()[-8:]
                raise RuntimeError(f"{self.log.stem} does not get ready: {' | '.join(lines)}")
            time.sleep(0.02)

    def cpu_seconds(self) -> float:
        """What it and its children have used of the processor so far."""
        ticks = 0
        for pid in self.pids():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def memory_mb(self) -> float:
        """The memory (RSS) of its largest process, in MiB."""
        sizes = [0.0]
        for pid in self.pids():
            with suppress(OSError, IndexError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        return max(sizes)

    def pids(self) -> Iterator[int]:
        """It and its descendants."""
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())

    def stop(self) -> None:
        """End it; harmless if it has ended."""
        end(self._process, ((signal.SIGTERM, 20.0),))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(url: str) -> bool:
    """Whether somebody answers there with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a server of ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
