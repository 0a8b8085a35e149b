"""Requests as clients in other languages put them on the wire, byte for byte, and the answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 30.0

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form; `filename` and `media_type` are those of a file."""

    name: str
    value: bytes
    filename: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The names of the headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body of an answer that says it is JSON of some kind."""
        assert self.headers["content-type"].partition(";")[0].endswith("json"), self
        return json.loads(self.body)


def exchange(
    address: str, method: str, path: str, headers: Headers, body: bytes | Iterable[bytes] = b""
) -> Answer:
    """Send exactly these headers, and Host, to the server at this address. A body in pieces goes
    as chunks, without a length.
    """
    server = urlsplit(address)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {server.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "", ""]).encode()
    with socket.create_connection((server.hostname, server.port), timeout=PATIENCE) as connection:
        connection.sendall(head)
        if isinstance(body, bytes):
            connection.sendall(body)
        else:
            for piece in (*body, b""):
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())


def node_form(parts: Iterable[Part], boundary: str) -> bytes:
    """A form as the package form-data of Node.js writes it."""
    return b"".join(
        f"--{boundary}\r\n{_disposition(part)}\r\n\r\n".encode() + part.value + b"\r\n"
        for part in parts
    ) + (f"--{boundary}--\r\n".encode())


def go_form(parts: Iterable[Part], boundary: str) -> bytes:
    """A form as mime/multipart of Go writes it."""
    written = [
        f"--{boundary}\r\n{_disposition(part)}\r\n\r\n".encode() + part.value for part in parts
    ]
    return b"\r\n".join([*written, f"--{boundary}--\r\n".encode()])


def _disposition(part: Part) -> str:
    lines = f'Content-Disposition: form-data; name="{part.name}"'
    if part.filename is not None:
        lines += f'; filename="{part.filename}"'
    if part.media_type is not None:
        lines += f"\r\nContent-Type: {part.media_type}"
    return lines
