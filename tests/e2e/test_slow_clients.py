"""Clients that send slowly, stop in the middle or do not read, against the real server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.core import opened, submit
from tests.factories import MOVIE, complete
from tests.web_process import PATIENCE, Web, said, web

TIMEOUT = 2.0
STALLED = 200

Serve = Callable[..., AbstractContextManager[Web]]


@pytest.fixture
def serve(database_url: str, redis_url: str, tmp_path: Path) -> Serve:
    """Starts servers that have two threads and wait two seconds for a request."""
    few = {"WEB_THREADS": "2", "REQUEST_TIMEOUT_SECONDS": str(TIMEOUT)}

    def begin(**changes: str) -> AbstractContextManager[Web]:
        return web(database_url, redis_url, tmp_path, **few | changes)

    return begin


def upload(length: int, body: bytes = b"") -> bytes:
    """The beginning of a request whose body has this length."""
    return (
        b"POST /api/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    ) + body


def test_others_are_served_when_uploads_stall(serve: Serve) -> None:
    """200 clients that stopped in the middle of a small or a large body, and two threads: none of
    which waits for any of them.
    """
    with serve(REQUEST_TIMEOUT_SECONDS="60") as server, ExitStack() as stack:
        for n in range(STALLED):
            length = 1_000_000 if n % 2 else 1000
            stack.enter_context(server.connected(upload(length, b'{"prompt": "')))
        get = partial(server.call, "GET", "/api/videos")
        answers = [get()[0] for _ in range(20)]
        created, _ = server.call("POST", "/api/videos", {"prompt": "a kite", "seconds": "2"})

    assert [200] * 20 == answers
    assert 202 == created


@pytest.mark.parametrize("first", [b"", b'{"prompt": "'])
def test_upload_is_refused_when_it_stalls(serve: Serve, first: bytes) -> None:
    """408 as a problem document, in time, and then the connection ends."""
    with serve() as server:
        began = time.monotonic()
        head, _, body = server.exchange(upload(1000, first)).partition(b"\r\n\r\n")
        took = time.monotonic() - began

    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in head.lower()
    assert "request_timeout" == json.loads(body)["code"]
    assert TIMEOUT <= took < PATIENCE / 2


def test_others_are_served_when_nobody_reads_downloads(
    serve: Serve, database_url: str, tmp_path: Path
) -> None:
    """Eight clients that have asked for a large video and read none of it, and two threads."""
    movie = MOVIE + bytes(32 * 1024 * 1024)
    storage = f"file://{tmp_path / 'storage'}"
    with opened(database_url, tmp_path, storage_url=storage) as ctx:
        video = complete(ctx, submit(ctx, "test_user").id, movie)
    ask = b"GET /api/videos/%b/download HTTP/1.1\r\nHost: localhost\r\n\r\n" % video.id.encode()

    with serve() as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connected(ask)) for _ in range(8)]
        begun = [client.recv(12) for client in clients]
        answers = [server.call("GET", "/api/videos")[0] for _ in range(20)]

    assert [b"HTTP/1.1 200"] * 8 == begun
    assert [200] * 20 == answers


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_connection_ends_when_headers_stall(serve: Serve, first: bytes) -> None:
    """Whoever connects and does not say what it wants is not waited for."""
    with serve() as server:
        began = time.monotonic()
        answer = server.exchange(first)
        took = time.monotonic() - began

    assert not answer.startswith(b"HTTP/1.1 2")
    assert took < PATIENCE / 2


def test_waiting_request_is_answered_when_sigterm_comes(serve: Serve) -> None:
    """`Prefer: wait` ends at once, with the video as it is: nobody's connection is cut."""
    body = json.dumps({"prompt": "a red kite", "seconds": "2"}).encode()
    wish = upload(len(body), body).replace(b"\r\n\r\n", b"\r\nPrefer: wait=50\r\n\r\n", 1)

    with serve(WEB_THREADS="8") as server, server.connected(wish) as client:
        deadline = time.monotonic() + PATIENCE
        while not server.call("GET", "/api/videos")[1]["data"]:
            assert time.monotonic() < deadline, "it was not created"
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        head, _, answer = said(client).partition(b"\r\n\r\n")
        took = time.monotonic() - began
        code = server.process.wait(PATIENCE)

    assert head.startswith(b"HTTP/1.1 202 ")
    assert "queued" == json.loads(answer)["status"]
    assert (0, True) == (code, took < 3)
