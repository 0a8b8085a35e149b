"""Valkey as our own child."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from orchestrator.errors import ConfigurationError
from orchestrator.local.ports import is_free
from orchestrator.local.valkey import EmbeddedValkey

HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.local.valkey import EmbeddedValkey
print(EmbeddedValkey(Path(sys.argv[1])).start(), flush=True)
time.sleep(600)
"""


def setting(url: str, name: str) -> str:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return str(client.config_get(name)[name])


def test_start_as_a_broker_needs_it(tmp_path: Path) -> None:
    """Nothing is evicted, and everything is written to disk each second."""
    with EmbeddedValkey(tmp_path) as server:
        settings = {
            name: setting(server.url, name)
            for name in ("maxmemory-policy", "appendonly", "appendfsync", "timeout")
        }

    assert settings == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "timeout": "0",
    }


def test_start_when_there_are_data(tmp_path: Path) -> None:
    """What was written is there after a restart, under the same URL."""
    folder = tmp_path / "with space"
    with EmbeddedValkey(folder) as server, redis.Redis.from_url(server.url) as client:
        first = server.url
        client.set("key", "value")

    with EmbeddedValkey(folder) as server, redis.Redis.from_url(server.url) as client:
        assert first == server.url
        assert client.get("key") == b"value"


def test_start_when_the_last_port_is_in_use(tmp_path: Path) -> None:
    """Another one is chosen."""
    with EmbeddedValkey(tmp_path) as server:
        port = server.port

    with socket.create_server(("127.0.0.1", port)), EmbeddedValkey(tmp_path) as server:
        assert port != server.port


def test_start_when_another_process_has_the_folder(tmp_path: Path) -> None:
    """Two servers on one log would ruin it: the second is refused."""
    with (
        EmbeddedValkey(tmp_path),
        pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"),
    ):
        EmbeddedValkey(tmp_path).start()


def test_start_after_the_owner_was_killed(tmp_path: Path) -> None:
    """The orphaned server is waited for, and its data taken over."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        with redis.Redis.from_url(url) as client:
            client.set("key", "value")
        holder.kill()

    with EmbeddedValkey(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"value"


def test_server_when_the_password_is_missing(tmp_path: Path) -> None:
    """Another user of this machine gets nowhere, and cannot read the password."""
    with (
        EmbeddedValkey(tmp_path) as server,
        redis.Redis(host="127.0.0.1", port=server.port) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()

    for name in ("password", "valkey.conf"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_stop_gives_the_port_back(tmp_path: Path) -> None:
    """Nothing listens any more, and a second stop is harmless."""
    server = EmbeddedValkey(tmp_path)
    server.start()

    server.stop()
    server.stop()

    assert is_free(server.port)
    assert server.poll() is None
