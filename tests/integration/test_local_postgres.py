"""PostgreSQL as our own child: through restarts, kills and odd folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.postgres import EmbeddedPostgres
from orchestrator.local.process import inhabitants

PATIENCE = 30.0
HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.local.postgres import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1]), durable=False).start()
print("running", flush=True)
time.sleep(600)
"""


# initdb is the slow part: tests that do not need a new folder use "warm", one after the other.
def server_in(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, durable=False)


def ask(url: str, statement: str) -> object:
    """The first column of the first row, or None."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


def test_start_when_the_folder_is_new(service_folder: Path) -> None:
    """A database of our name, UTF-8, in UTC, closed to the network."""
    with server_in(service_folder / "new") as server:
        answers = [
            ask(server.url, f"select current_setting('{name}')")
            for name in ("server_encoding", "timezone", "listen_addresses", "max_connections")
        ]
        name = ask(server.url, "select current_database()")

    assert ["UTF8", "UTC", "", "200"] == answers
    assert "orchestrator" == name


def test_start_when_there_are_data(service_folder: Path) -> None:
    """What was written before the stop is there after the next start."""
    folder = service_folder / "warm"
    with server_in(folder) as server:
        ask(server.url, "create table kept as select 42 as answer")

    with server_in(folder) as server:
        assert ask(server.url, "select answer from kept") == 42


@pytest.mark.parametrize("name", ['sp ace "quote" %s é', "comma,and" + "length" * 20])
def test_start_in_an_odd_folder(service_folder: Path, name: str) -> None:
    """The URL leads to the server, whatever the folder is called."""
    with server_in(service_folder / name) as server:
        assert ask(server.url, "select 1") == 1


def test_start_when_another_process_has_the_folder(service_folder: Path) -> None:
    """The second is refused by name, and the first goes on."""
    folder = service_folder / "warm"
    with server_in(folder) as server:
        with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"):
            server_in(folder).start()

        assert ask(server.url, "select 1") == 1


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns a running server."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "running\n"
        yield holder


def test_start_after_everything_was_killed(service_folder: Path) -> None:
    """Neither the dead server's pid file nor its locks keep the next one from starting."""
    folder = service_folder / "warm"
    with held(folder) as holder:
        for pid in inhabitants(folder / "data"):
            os.kill(pid, signal.SIGKILL)
        holder.kill()
    # The worst case: the number in the file now belongs to a living stranger.
    (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    with server_in(folder) as server:
        assert ask(server.url, "select 1") == 1


def test_start_while_the_killed_owner_s_server_is_ending(service_folder: Path) -> None:
    """The owner was killed and its server has not gone yet: it is waited for."""
    folder = service_folder / "warm"
    with held(folder) as holder:
        holder.kill()

    with server_in(folder) as server:
        assert ask(server.url, "select 1") == 1


def test_start_when_initdb_was_interrupted(service_folder: Path) -> None:
    """A half-made folder is thrown away."""
    folder = service_folder / "half"
    (folder / "data.new").mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18")

    with server_in(folder) as server:
        assert ask(server.url, "select 1") == 1


def test_start_when_the_data_are_of_another_version(service_folder: Path) -> None:
    """The message names both versions, and the data stay untouched."""
    folder = service_folder / "old"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("12\n")

    with pytest.raises(ConfigurationError, match=r"written by PostgreSQL 12, and \d+ is installed"):
        server_in(folder).start()

    assert ["PG_VERSION"] == [path.name for path in (folder / "data").iterdir()]


def test_start_after_a_failed_start(service_folder: Path) -> None:
    """A refusal leaves no lock behind."""
    folder = service_folder / "again"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("12\n")
    server = server_in(folder)
    with pytest.raises(ConfigurationError):
        server.start()
    (folder / "data" / "PG_VERSION").unlink()
    (folder / "data").rmdir()

    with server:
        assert ask(server.url, "select 1") == 1


def test_poll_when_the_server_is_killed(service_folder: Path) -> None:
    """Its end shows, and it can be started again."""
    server = server_in(service_folder / "warm")
    server.start()
    assert server.poll() is None

    server.kill()
    server.stop()
    server.start()

    assert ask(server.url, "select 1") == 1
    server.stop()
    assert server.poll() is None
