"""Runs a sandbox: as a process of its own, or inside a test.

A plain threaded server with connections that stay open. It hands the socket to the application,
which a provider that is to cut connections needs and no production server offers.
"""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from orchestrator.sandbox.app import LARGEST_BODY, create_app
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.sandbox.settings import SandboxSettings

logger = logging.getLogger(__name__)

STOP_POLL_SECONDS = 0.05


class Handler(WSGIRequestHandler):
    """Answers the requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    _announced = 0

    def run_wsgi(self) -> None:
        """Read the whole body first: what is left unread would look like the next request."""
        environ = self.make_environ()
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read(LARGEST_BODY + 1)
        else:
            body = self.rfile.read(min(int(environ.get("CONTENT_LENGTH") or 0), LARGEST_BODY + 1))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        if len(body) > LARGEST_BODY:
            self.close_connection = True
        chunks = self.server.app(environ, self._start)
        try:
            for chunk in chunks:
                self.wfile.write(chunk)
                if len(chunk) < self._announced:
                    self.wfile.flush()
            self.wfile.flush()
        except OSError:
            self.close_connection = True
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def finish(self) -> None:
        """Close both ends even if the client has gone: what is buffered then cannot be sent."""
        with contextlib.suppress(OSError):
            super().finish()
        self.rfile.close()
        with contextlib.suppress(OSError):
            self.wfile.close()

    def _start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], Any]:
        """WSGI's start_response. Every answer of the application announces its length."""
        code, _, phrase = status.partition(" ")
        self._announced = int(dict(headers).get("Content-Length", "0"))
        self.send_response(int(code), phrase)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        return self.wfile.write

    def log_request(self, code: int | str | HTTPStatus = "-", size: int | str = "-") -> None:
        """Requests are counted, not logged."""


class Server(ThreadedWSGIServer):
    """A thread for each connection; knows them all, so that it can end them."""

    def __init__(self, host: str, port: int, app: Flask):
        self._connections: set[socket.socket] = set()
        super().__init__(host, port, app, Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """A connection has ended."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that end early are this server's trade, whoever ends them."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.exception("a connection failed")

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.shutdown()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that can be called: `base_url` ends in /v1, `root_url` in no slash."""

    sandbox: Sandbox
    root_url: str
    base_url: str


@contextmanager
def running_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Callable[[], float] = time.time,
    **settings: Any,
) -> Iterator[RunningSandbox]:
    """A sandbox in threads of this process, until the block ends; port 0 takes a free one.

    `settings` are the fields of SandboxSettings. Raises OSError if the port is taken.
    """
    with _listening(Sandbox(SandboxSettings(**settings), clock), host, port) as running:
        yield running


def serve(
    settings: SandboxSettings,
    host: str = "127.0.0.1",
    port: int = 8100,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; to be called in the main thread.

    `ready` is told the address of the API once it can be called. Raises OSError if the port is
    taken.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _listening(Sandbox(settings), host, port) as running:
        if ready is not None:
            ready(running.base_url)
        logger.info("sandbox provider (%s) at %s", settings.dialect, running.base_url)
        stop.wait()


@contextmanager
def _listening(sandbox: Sandbox, host: str, port: int) -> Iterator[RunningSandbox]:
    try:
        server = Server(host, port, create_app(sandbox))
    except BaseException:
        sandbox.close()
        raise
    thread = threading.Thread(
        target=server.serve_forever, args=(STOP_POLL_SECONDS,), name="sandbox-server", daemon=True
    )
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    root = f"http://{shown}:{server.server_port}"
    try:
        yield RunningSandbox(sandbox, root, root + sandbox.dialect.prefixes[-1])
    finally:
        # First wake whoever sleeps in a request on purpose, then end the connections.
        sandbox.stopping.set()
        server.close()
        thread.join(timeout=5)
        sandbox.close()
