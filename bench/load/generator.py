"""Runs the load generator: the one in C where there is a compiler, else the one in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.metrics import Metrics

SERIAL = "{serial--------}"
"""Stands in a request where something must differ each time it is sent."""

_SOURCE = Path(__file__).with_name("load.c")
_FALLBACK = Path(__file__).with_name("fallback.py")
_CONNECTION_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encoded(self) -> bytes:
        """The bytes of it."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Answers:
    """What the generator saw."""

    answers: int
    seconds: float
    bytes: int
    broken: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    statuses: Mapping[str, int]

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        good = sum(n for status, n in self.statuses.items() if status.startswith("2"))
        return good / self.seconds

    @property
    def errors(self) -> int:
        """Answers that were none: cut off, or of another status than 2xx."""
        bad = sum(n for status, n in self.statuses.items() if not status.startswith("2"))
        return self.broken + bad

    def metrics(self) -> Metrics:
        """The usual ones.

        Raises:
            RuntimeError: there is nothing to measure, because nothing was answered well.
        """
        if self.per_second == 0:
            raise RuntimeError(f"no answer was good: {dict(self.statuses)}, {self.broken} broken")
        return {
            "per_second": self.per_second,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "errors": self.errors,
        }


class Generator:
    """The load generator, compiled into `folder`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._argv = self._compiled() or [sys.executable, str(_FALLBACK)]

    @property
    def compiled(self) -> bool:
        """Whether it is the fast one. The other one may be slower than what it measures."""
        return len(self._argv) == 1

    def run(
        self,
        port: int,
        requests: Iterable[Request],
        *,
        connections: int,
        seconds: float = _CONNECTION_SECONDS,
        warmup: float = 0.0,
        limit: int = 0,
    ) -> Answers:
        """Send these requests in turn, as fast as answers come, for so long or until there were
        `limit` answers.

        Raises:
            RuntimeError: the server does not speak HTTP as it should.
        """
        file = self._folder / "requests"
        with file.open("wb") as output:
            for request in requests:
                encoded = request.encoded()
                output.write(b"%d\n%b" % (len(encoded), encoded))
        arguments = [port, connections, warmup, seconds, limit, file]
        done = subprocess.run(
            [*self._argv, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or "the load generator failed")
        return Answers(**json.loads(done.stdout))

    def _compiled(self) -> list[str] | None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            return None
        program = self._folder / "load"
        done = subprocess.run([compiler, "-O2", "-o", program, _SOURCE], check=False)
        return [str(program)] if done.returncode == 0 else None
