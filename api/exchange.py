"""One request and its answer, between the event loop and a thread with a WSGI application."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from flask import Flask

from api.streams import EventStream
from api.uploads import Message, Scope, Upload, environ_of

Environ: TypeAlias = dict[str, Any]

_SMALL = 64 * 1024
_UNPREFIXED = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


@dataclass(frozen=True, slots=True)
class Parts:
    """A body that is too large to be made at once; each `take` may wait for a disk."""

    chunks: Iterator[bytes]
    body: Iterable[bytes]

    def take(self) -> bytes | None:
        """The next part; None after the last."""
        return next(self.chunks, None)

    def close(self) -> None:
        """The client has it all, or has gone."""
        _close(self.body)


Answer: TypeAlias = EventStream | Parts | bytes


class Exchange:
    """A request; once it has `run`, also the beginning of its answer."""

    def __init__(self, scope: Scope, upload: Upload):
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 500
        self._scope = scope
        self._upload = upload

    def run(self, app: Flask) -> Answer:
        """Let the application answer, in the thread of the caller."""
        body = app(_environ(self._scope) | environ_of(self._upload), self._start)
        if isinstance(body, EventStream):
            return body
        length = dict(self.headers).get(b"content-length", b"0")
        if int(length) > _SMALL:
            return Parts(iter(body), body)
        try:
            return b"".join(body)
        finally:
            _close(body)

    def head(self) -> Message:
        """The beginning of the answer."""
        return start(self.status, self.headers)

    def _start(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        self.status = int(status[:3])
        self.headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]


def start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    """The beginning of an answer."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def chunk(body: bytes, *, more: bool) -> Message:
    """A part of an answer."""
    return {"type": "http.response.body", "body": body, "more_body": more}


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _environ(scope: Scope) -> Environ:
    """The request as PEP 3333 wants it, but for its body."""
    host, port = scope.get("server") or ("", "0")
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw, value in scope["headers"]:
        name = _UNPREFIXED.get(raw) or "HTTP_" + raw.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        if name in environ:
            separator = "; " if name == "HTTP_COOKIE" else ","
            text = environ[name] + separator + text
        environ[name] = text
    return environ
