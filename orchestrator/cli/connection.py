"""One kept-alive HTTP connection to the server. Knows nothing of videos and tries nothing twice."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urljoin, urlsplit

import click

from orchestrator.cli.errors import Unreachable

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NoAnswer(Exception):
    """No answer came; whether the request arrived is not known."""


class Connection:
    """To `url` (http or https, perhaps with a path in front), opened with the first request."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise click.BadParameter(
                f"{url!r} is not an http:// or https:// address.", param_hint="--url"
            )
        try:
            self._port = parts.port
        except ValueError:
            raise click.BadParameter(
                f"{url!r} has a port that cannot be.", param_hint="--url"
            ) from None
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        self._open: HTTPConnection | None = None

    def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> HTTPResponse:
        """One request; the answer's body is still to be read.

        Raises:
            NoAnswer: the connection failed, or what came back is not HTTP.
        """
        try:
            connection = self._connected()
            connection.request(method, self._path + target, body=body, headers=dict(headers))
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            self.close()
            raise NoAnswer(_reason(error)) from error

    def read(self, response: HTTPResponse, size: int | None = None) -> bytes:
        """The body, or up to `size` bytes of it; empty at its end.

        Raises:
            NoAnswer: it ended early.
        """
        with self._careful():
            data = response.read() if size is None else response.read(size)
            if not data and response.length:
                raise http.client.IncompleteRead(data, response.length)
            return data

    def _connected(self) -> HTTPConnection:
        # A server that ends a connection after an answer leaves one without a socket.
        if self._open is None or self._open.sock is None:
            kind = HTTPSConnection if self._secure else HTTPConnection
            connection = kind(self._host, self._port, timeout=CONNECT_SECONDS)
            connection.connect()
            connection.sock.settimeout(READ_SECONDS)
            self._open = connection
        return self._open

    @contextmanager
    def _careful(self) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPException) as error:
            self.close()
            raise NoAnswer(_reason(error)) from error

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None


def redirected(url: str, response: HTTPResponse) -> str | None:
    """Where the answer to `url` sends us, as an absolute address; None when it does not."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not location:
        return None
    return urljoin(url, location)


def fetched(url: str, headers: Mapping[str, str]) -> tuple[Connection, HTTPResponse]:
    """What is at an address, usually a storage's that a server sent us to, and the connection on
    which its body comes.

    Raises:
        Unreachable: the connection failed.
    """
    parts = urlsplit(url)
    connection = Connection(f"{parts.scheme}://{parts.netloc}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return connection, connection.send("GET", target, headers=headers)
    except NoAnswer as error:
        raise Unreachable(f"No answer from the storage at {parts.netloc}: {error}.") from error


def _reason(error: OSError | HTTPException) -> str:
    """In a few words, without Python's."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "the connection was cut"
    if isinstance(error, HTTPException):
        return "the answer is not HTTP"
    return (error.strerror or str(error) or type(error).__name__).lower()
