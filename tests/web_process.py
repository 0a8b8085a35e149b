"""The web process itself, `python -m api`, for tests that speak to a real server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.local.ports import free_port

PATIENCE = 30.0


@dataclass(frozen=True)
class Web:
    """A server that serves, with AUTH=off; `log` is where it writes its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, object]]:
        """Status and JSON of an answer; 0 if nobody answers."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                sent = {"Content-Type": "application/json"} | headers
                connection.request(method, path, None if body is None else json.dumps(body), sent)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                return 0, {}
            return answer.status, json.loads(text) if text else {}

    def connected(self, first: bytes) -> closing[socket.socket]:
        """A client that has sent so much."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.sendall(first)
        return closing(client)

    def exchange(self, request: bytes) -> bytes:
        """All that is answered to these bytes."""
        with self.connected(request) as client:
            return said(client)


def said(client: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


class Starter:
    """Starts servers at one port, one after the other. Kill what is left of them.

    folder: for their storage and their logs.
    """

    def __init__(self, database_url: str, redis_url: str, folder: Path):
        self.port = free_port()
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
            "PROVIDER_PROFILE": "sandbox",
            "STORAGE_URL": f"file://{folder / 'storage'}",
            "AUTH": "off",
            "PORT": str(self.port),
            "LOG_FORMAT": "json",
        }

    def __call__(self, *, until_ready: bool = True, **changes: str) -> Web:
        """A server that answers; `changes` are variables of its environment."""
        log = self._folder / f"web-{len(self._started)}.log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "api"],
                env=self._env | changes,
                stderr=written,
                start_new_session=True,
            )
        self._started.append(process)
        server = Web(process, self.port, log)
        deadline = time.monotonic() + PATIENCE
        while until_ready and server.call("GET", "/readyz")[0] != 200:
            assert time.monotonic() < deadline, f"it does not serve: {log.read_text()}"
            time.sleep(0.05)
        return server

    def kill(self) -> None:
        """End whatever is left of what was started."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def web(database_url: str, redis_url: str, folder: Path, **changes: str) -> Iterator[Web]:
    """A server that answers; whatever is left of it is killed when the block ends."""
    start = Starter(database_url, redis_url, folder)
    try:
        yield start(**changes)
    finally:
        start.kill()
