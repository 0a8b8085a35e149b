"""Clients that send slowly, stop in the middle or do not read, against the real server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[bytes]]
PATIENCE = 30.0
TIMEOUT = 2.0
STALLED = 200


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        found: int = server.getsockname()[1]
        return found


@pytest.fixture
def start(database_url: str, redis_url: str, tmp_path: Path, port: int) -> Iterator[Start]:
    """Starts `python -m api` with two threads and waits until it serves; kills what is left."""
    started: list[subprocess.Popen[bytes]] = []
    env = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "PROVIDER_PROFILE": "sandbox",
        "STORAGE_URL": f"file://{tmp_path / 'storage'}",
        "AUTH": "off",
        "PORT": str(port),
        "LOG_LEVEL": "ERROR",
        "WEB_THREADS": "2",
        "REQUEST_TIMEOUT_SECONDS": str(TIMEOUT),
    }

    def begin(**changes: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], env=env | changes, start_new_session=True
        )
        started.append(process)
        deadline = time.monotonic() + PATIENCE
        while call(port, "GET", "/readyz")[0] != 200:
            assert time.monotonic() < deadline, "it does not serve"
            time.sleep(0.05)
        return process

    yield begin

    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def call(
    port: int, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, object]]:
    """Status and JSON of an answer; 0 if nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            sent = {"Content-Type": "application/json"} | headers
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}
        return answer.status, json.loads(text) if text else {}


def connected(port: int, first: bytes) -> socket.socket:
    """A client that has sent so much."""
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.sendall(first)
    return client


def said(client: socket.socket) -> bytes:
    """Everything until the server ends the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def upload(length: int, body: bytes = b"") -> bytes:
    """The beginning of a request whose body has this length."""
    return (
        b"POST /api/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    ) + body


def test_others_are_served_when_uploads_stall(start: Start, port: int) -> None:
    """200 clients that stopped in the middle of a small or a large body, and two threads: none of
    which waits for any of them.
    """
    start(REQUEST_TIMEOUT_SECONDS="60")

    with ExitStack() as stack:
        for n in range(STALLED):
            length = 1_000_000 if n % 2 else 1000
            stack.enter_context(closing(connected(port, upload(length, b'{"prompt": "'))))
        answers = [call(port, "GET", "/api/videos")[0] for _ in range(20)]
        created, _ = call(port, "POST", "/api/videos", {"prompt": "a kite", "seconds": "2"})

    assert [200] * 20 == answers
    assert 202 == created


@pytest.mark.parametrize("first", [b"", b'{"prompt": "'])
def test_upload_is_refused_when_it_stalls(start: Start, port: int, first: bytes) -> None:
    """408 as a problem document, in time, and then the connection ends."""
    start()
    began = time.monotonic()

    with closing(connected(port, upload(1000, first))) as client:
        head, _, body = said(client).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert "request_timeout" == json.loads(body)["code"]
    assert TIMEOUT <= time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_connection_ends_when_headers_stall(start: Start, port: int, first: bytes) -> None:
    """Whoever connects and does not say what it wants is not waited for."""
    start()
    began = time.monotonic()

    with closing(connected(port, first)) as client:
        answer = said(client)

    assert not answer.startswith(b"HTTP/1.1 2")
    assert time.monotonic() - began < PATIENCE / 2


def test_waiting_request_is_answered_when_sigterm_comes(start: Start, port: int) -> None:
    """`Prefer: wait` ends at once, with the video as it is: nobody's connection is cut."""
    process = start(WEB_THREADS="8")
    body = json.dumps({"prompt": "a red kite", "seconds": "2"}).encode()
    wish = upload(len(body), body).replace(b"\r\n\r\n", b"\r\nPrefer: wait=50\r\n\r\n", 1)

    with closing(connected(port, wish)) as client:
        deadline = time.monotonic() + PATIENCE
        while not call(port, "GET", "/api/videos")[1]["data"]:
            assert time.monotonic() < deadline, "it was not created"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        head, _, body = said(client).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 202 ")
    assert "queued" == json.loads(body)["status"]
    assert time.monotonic() - began < 3
    assert 0 == process.wait(PATIENCE)
