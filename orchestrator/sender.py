"""Sends one webhook over HTTP, to nobody but whom the address names.

The host is resolved once, every address of it is judged, and the connection goes to an address that
was judged: a name that means something else a moment later changes nothing. No proxy of the
environment, no redirect, and one clock for the whole exchange, however slowly the receiver drips.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from threading import Lock
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orchestrator import receivers

TIMEOUT_SECONDS = 15.0
EXCERPT_BYTES = 500
RETRY_AFTER_CEILING = 86_400.0

# A receiver may answer as much as it likes: beyond the excerpt nothing is read, and of the status
# line and the headers http.client reads at most some 64 KiB a line; this bounds them together.
_ANSWER_BYTES = 64 * 1024
Resolve = Callable[..., list[Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one message.

    status: the HTTP status; None if there was no answer, then `error` says why.
    excerpt: the first 500 bytes of the answer, as text.
    retry_after: seconds that the receiver wants us to wait, at most a day.
    """

    status: int | None = None
    excerpt: str = ""
    error: str | None = None
    retry_after: float | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken the message."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver never wants to be told anything again."""
        return self.status == 410


class Sender:
    """Sends messages, each over a connection of its own."""

    def __init__(
        self,
        *,
        resolve: Resolve = socket.getaddrinfo,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ):
        self._resolve = resolve
        self._tls = tls
        self._timeout = timeout
        self._lock = Lock()

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, allow_local: bool
    ) -> Answer:
        """Send `body`. Never raises for anything that the receiver or the network does.

        allow_local: loopback is permitted, also in the clear.
        """
        deadline = time.monotonic() + self._timeout
        parts = urlsplit(url)
        try:
            addresses = self._permitted(parts, allow_local)
            with self._connected(addresses, parts, deadline) as connection:
                connection.settimeout(_left(deadline))
                connection.sendall(_request(parts, headers, body))
                return _answer(connection, deadline)
        except _Refused as error:
            return Answer(error=str(error))
        except TimeoutError:
            return Answer(error=f"no answer within {self._timeout:g} seconds")
        except ssl.SSLError as error:
            return Answer(error=f"TLS: {getattr(error, 'verify_message', '') or error.reason}")
        except (socket.gaierror, UnicodeError):
            return Answer(error="the host is not known")
        except (HTTPException, ValueError):
            return Answer(error="the answer is not HTTP")
        except OSError as error:
            return Answer(error=f"not connected: {error.strerror or type(error).__name__}")

    def _permitted(self, parts: SplitResult, allow_local: bool) -> list[tuple[Any, ...]]:
        """(family, address) of the host, if all of them may be connected to: one that may not be
        shows what the name is for.
        """
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = self._resolve(parts.hostname, port, type=socket.SOCK_STREAM)
        for _, _, _, _, address in found:
            if not receivers.is_permitted(
                ip_address(address[0]), scheme=parts.scheme, allow_local=allow_local
            ):
                raise _Refused("the host has an address that webhooks may not go to")
        return [(family, address) for family, _, _, _, address in found]

    def _connected(
        self, addresses: list[tuple[Any, ...]], parts: SplitResult, deadline: float
    ) -> socket.socket:
        failure: OSError = OSError("the host has no address")
        for family, address in addresses:
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(_left(deadline))
                connection.connect(address)
                if parts.scheme != "https":
                    return connection
                return self._context().wrap_socket(connection, server_hostname=parts.hostname)
            except OSError as error:
                connection.close()
                failure = error
        raise failure

    def _context(self) -> ssl.SSLContext:
        """Made once: reading the certificates of the system takes a while."""
        with self._lock:
            if self._tls is None:
                self._tls = ssl.create_default_context()
            return self._tls


class _Refused(Exception):
    """We will not connect there."""


class _Paced(io.RawIOBase):
    """What arrives at a socket, while there is time and room left for it."""

    def __init__(self, connection: socket.socket, deadline: float):
        self._connection = connection
        self._deadline = deadline
        self._room = _ANSWER_BYTES

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket. A small buffer: it is filled before it is read."""
        return io.BufferedReader(self, 1024)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._room <= 0:
            return 0
        self._connection.settimeout(_left(self._deadline))
        size = self._connection.recv_into(buffer, min(len(buffer), self._room))
        self._room -= size
        return size


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _request(parts: SplitResult, headers: Mapping[str, str], body: bytes) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    complete = {
        "Host": parts.netloc,
        **headers,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in complete.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _answer(connection: socket.socket, deadline: float) -> Answer:
    response = HTTPResponse(_Paced(connection, deadline), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        return Answer(
            status=response.status,
            excerpt=_excerpt(response),
            retry_after=_retry_after(response.headers.get("Retry-After")),
        )
    finally:
        response.close()


def _excerpt(response: HTTPResponse) -> str:
    """The beginning of the body; whether it comes at all decides nothing."""
    data = b""
    try:
        while len(data) < EXCERPT_BYTES and (part := response.read1(EXCERPT_BYTES - len(data))):
            data += part
    except (OSError, HTTPException, ValueError):
        pass
    return data.decode("utf-8", "replace").replace("\0", "")


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either form of the header; None for what is neither."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else _seconds_until(value)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), RETRY_AFTER_CEILING)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
