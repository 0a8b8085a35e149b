"""Loopback ports that nobody listens on."""

from __future__ import annotations

import socket

from orchestrator.errors import ConfigurationError

SPAN = 100
"""How far above the wished port we look: far enough for a crowded laptop, near enough to guess."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `host:port` now. Port 0 always is."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # Servers set this too; without it a port stays "in use" for a minute after a restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(
    wished: int = 0, host: str = "127.0.0.1", *, taken: frozenset[int] = frozenset()
) -> int:
    """The wished port if it is free, else the next free one above it; 0 lets the system choose.

    `taken` are ports already promised to somebody who does not listen yet. Another program may be
    faster between our look and the server's bind: the server's own error then says so.
    Raises ConfigurationError if the next `SPAN` ports are all in use.
    """
    if wished == 0:
        with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])

    last = min(wished + SPAN, 65_536)
    for port in range(wished, last):
        if port not in taken and is_free(port, host):
            return port
    raise ConfigurationError(f"no free port between {wished} and {last - 1} on {host}")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
