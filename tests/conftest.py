"""What tests share: real services of their own, and the rule that they reach nothing else.

Each pytest process starts its own PostgreSQL and Valkey when the first test asks for one, so tests
run in parallel without seeing each other, and a test that needs neither pays for neither.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
import redis
from flask import Flask
from psycopg2 import extensions

from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.local.postgres import EmbeddedPostgres
from orchestrator.local.valkey import EmbeddedValkey
from tests.routes import KnownRule


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    """Set up before all other fixtures, so it looks when all of them are gone."""
    yield

    left = [command for command in _children() if "resource_tracker" not in command]
    assert [] == left


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> None:
    """Let no test, nor what it calls, reach for another machine."""
    # An audit hook sees every Python socket, whoever opens it. It cannot be taken back: no need.
    sys.addaudithook(_refuse_other_machines)


@pytest.fixture(scope="session", autouse=True)
def _routes_made_once() -> None:
    """Every test has an application of its own, and all have the same routes."""
    Flask.url_rule_class = KnownRule


@pytest.fixture(scope="session")
def service_folder() -> Iterator[Path]:
    """A folder for the data of this process's services."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-tests-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root runs PostgreSQL as somebody else, who must get through
        yield folder


@pytest.fixture(scope="session")
def postgres_url(service_folder: Path) -> Iterator[str]:
    """A running server's database with our schema in it. Tests want `database_url`."""
    with EmbeddedPostgres(service_folder / "postgres", durable=False) as server:
        database = Database(server.url)
        migrate(database)
        database.close()
        with _connect(server.url) as connection, connection.cursor() as cursor:
            cursor.execute(
                "create schema seeds; create table seeds.user_quotas as table user_quotas"
            )
        yield server.url


@pytest.fixture(scope="session")
def _empty_tables(postgres_url: str) -> Iterator[Callable[[], None]]:
    """Empties the tables as `migrate` leaves them, on one connection for all tests: a new one has
    to look everything up again, ten times as long as the work takes.
    """
    with _connect(postgres_url) as connection, connection.cursor() as cursor:
        # A test that leaves a transaction open shall be told so, not hang here.
        cursor.execute("set lock_timeout = '5s'")
        # TRUNCATE makes new files for every table and index: half a second where deleting the few
        # rows of a test takes milliseconds. As a replica, no order of the tables matters.
        cursor.execute("set session_replication_role = replica")
        cursor.execute(
            "select string_agg(format('delete from %I', tablename), '; ') from pg_tables "
            "where schemaname = 'public' and tablename <> 'schema_version'"
        )
        (deletions,) = cursor.fetchone() or ("",)

        def empty() -> None:
            cursor.execute(deletions)
            cursor.execute(
                "select setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) "
                "from pg_sequences where schemaname = 'public' and last_value is not null"
            )
            cursor.execute("insert into user_quotas select * from seeds.user_quotas")

        yield empty


@pytest.fixture
def database_url(postgres_url: str, _empty_tables: Callable[[], None]) -> Iterator[str]:
    """A database as `orchestrator migrate` leaves it; emptied again afterwards."""
    yield postgres_url

    _empty_tables()


@pytest.fixture
def bare_database_url(postgres_url: str) -> Iterator[str]:
    """A database of the test's own with nothing in it, for tests of the schema itself."""
    name = f"bare_{uuid4().hex}"
    with _connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"create database {name}")

    yield postgres_url.replace("/orchestrator?", f"/{name}?")

    with _connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def valkey_url(service_folder: Path) -> Iterator[str]:
    """A running server. Tests want `redis_url`."""
    with EmbeddedValkey(service_folder / "valkey", durable=False) as server:
        yield server.url


@pytest.fixture
def redis_url(valkey_url: str) -> Iterator[str]:
    """An empty Valkey; emptied again afterwards."""
    yield valkey_url

    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()


def _connect(url: str) -> closing[extensions.connection]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return closing(connection)


def _children() -> Iterator[str]:
    """Command lines of this process's living children (Linux)."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in listing.read_text().split():
            command = Path("/proc", pid, "cmdline")
            if command.exists():
                yield command.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def _refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in {"", "localhost"} or _is_loopback(name):
        return
    if name.endswith(".invalid"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    raise RuntimeError(f"tests reach only this machine, not {name}")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
