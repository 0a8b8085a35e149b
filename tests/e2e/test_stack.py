"""The whole product on one machine, as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import URLError

import psycopg2
import pytest

from orchestrator.db.schema import VERSION
from orchestrator.errors import ConfigurationError
from orchestrator.local.process import FolderLock
from orchestrator.local.stack import Stack

pytestmark = pytest.mark.timeout(400)  # seven cold Python processes, on two cores, several times

PATIENCE = 60.0
HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.local.stack import Stack
stack = Stack(Path(sys.argv[1]), {"PATH": sys.argv[2], "PORT": "0", "FLOWER_PORT": "0"})
stack.start()
print(stack.web_url, flush=True)
time.sleep(600)
"""


def stack_in(folder: Path, **env: str) -> Stack:
    bare = {"PATH": os.environ["PATH"], "PORT": "0", "FLOWER_PORT": "0"}
    return Stack(folder, bare | env)


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def status_once_there(url: str) -> int:
    """Of something that nothing else waits for."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return status_of(url)
        except URLError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


def processes_of(folder: Path) -> Iterator[str]:
    """Command lines of living processes whose environment or arguments name the folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            belongs = str(folder).encode() in command + (process / "environ").read_bytes()
        except OSError:
            continue
        if belongs and int(process.name) != os.getpid():
            yield command.replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture
def folder(service_folder: Path, request: pytest.FixtureRequest) -> Path:
    """A data folder, with a space in its name."""
    return service_folder / f"stack {request.node.name}"


def test_stack_when_nothing_is_configured(folder: Path) -> None:
    """Everything is started, answers, and is gone afterwards."""
    with stack_in(folder) as stack:
        assert stack.flower_url is not None
        assert stack.sandbox_url is not None
        answers = [
            status_of(f"{stack.web_url}/readyz"),
            status_of(f"{stack.sandbox_url}/v1/models"),
            status_once_there(f"{stack.flower_url}/healthcheck"),
        ]
        logs = sorted(path.name for path in stack.logs.iterdir())

    assert [200, 200, 200] == answers
    assert [
        "flower.log",
        "migrate.log",
        "sandbox.log",
        "scheduler.log",
        "web.log",
        "worker.log",
    ] == logs
    assert [] == list(processes_of(folder))


def test_stack_when_services_are_named(folder: Path, database_url: str, redis_url: str) -> None:
    """They are used as they are, none is started beside them."""
    named = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "key",
    }

    with stack_in(folder, **named) as stack:
        assert status_of(f"{stack.web_url}/readyz") == 200
        assert stack.sandbox_url is None

    assert not (folder / "postgres").exists()
    assert not (folder / "valkey").exists()


def test_stack_when_another_one_has_the_folder(folder: Path) -> None:
    """The second is refused before it starts anything."""
    with (
        FolderLock(folder),
        pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"),
    ):
        stack_in(folder).start()

    assert ["lock"] == [path.name for path in folder.iterdir()]


def test_stack_when_its_supervisor_is_killed(folder: Path) -> None:
    """No process outlives it, and the next stack finds the data."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), os.environ["PATH"]],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().startswith("http://127.0.0.1:")
        holder.kill()
    deadline = time.monotonic() + PATIENCE
    while (left := list(processes_of(folder))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left

    with (
        stack_in(folder) as stack,
        closing(psycopg2.connect(stack.env["DATABASE_URL"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select max(version) from schema_version")
        assert cursor.fetchone() == (VERSION,)
