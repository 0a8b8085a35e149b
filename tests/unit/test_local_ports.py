"""Finding a port that nobody listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.ports import SPAN, free_port, is_free


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A loopback port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_is_free_when_somebody_listens(busy_port: int) -> None:
    """A port with a listener is not free."""
    assert not is_free(busy_port)


def test_free_port_when_the_wished_one_is_free(busy_port: int) -> None:
    """The wish is granted if it can be."""
    wished = free_port(busy_port + 1)

    assert wished == free_port(wished)


def test_free_port_when_the_wished_one_is_in_use(busy_port: int) -> None:
    """The next free port above the wished one is taken instead."""
    found = free_port(busy_port)

    assert busy_port < found <= busy_port + SPAN
    assert is_free(found)


def test_free_port_when_the_wished_one_is_promised() -> None:
    """A port that was promised to a server which does not listen yet counts as in use."""
    promised = free_port()

    assert promised != free_port(promised, taken=frozenset({promised}))


def test_free_port_without_a_wish() -> None:
    """The system chooses, and the port can be listened on."""
    assert is_free(free_port(0))


def test_free_port_when_none_is_left() -> None:
    """The message says where we looked."""
    taken = frozenset(range(65_000, 65_000 + SPAN))

    with pytest.raises(ConfigurationError, match="between 65000 and 65099"):
        free_port(65_000, taken=taken)


def test_free_port_at_the_end_of_the_range() -> None:
    """Nothing above the last port is tried."""
    with pytest.raises(ConfigurationError, match="between 65535 and 65535"):
        free_port(65_535, taken=frozenset({65_535}))
