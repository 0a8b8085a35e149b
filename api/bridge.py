"""Serves the WSGI application from an event loop: requests run in threads as ever, and streams,
which mostly wait, take none.
"""

from __future__ import annotations

import asyncio
import io
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

import structlog
from flask import Flask

from api.streams import EventStream, feeds_of

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Environ: TypeAlias = dict[str, Any]
Answer: TypeAlias = EventStream | bytes | None
"""A stream to carry, a body to send; None: all is sent."""

_SMALL_BODY = 64 * 1024
_SMALL_ANSWER = 64 * 1024
_STUCK_SECONDS = 60.0
_UNPREFIXED = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}

log = structlog.get_logger("api")


class Bridge:
    """An ASGI application around a Flask one, with `threads` threads for its requests."""

    def __init__(self, app: Flask, *, threads: int):
        self._app = app
        self._feeds = feeds_of(app)
        # A pool of futures would cost each request as much as the server itself does.
        self._exchanges: SimpleQueue[Exchange] = SimpleQueue()
        self._bells: Bells | None = None
        for n in range(threads):
            Thread(target=self._work, name=f"request-{n}", daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            exchange = Exchange(scope, receive, send, asyncio.get_running_loop())
            await exchange.prepare()
            self._exchanges.put(exchange)
            answer = await exchange.answered
            if isinstance(answer, EventStream):
                self._bells = self._bells or Bells(asyncio.get_running_loop())
                await _carry(answer, exchange, self._bells)
            elif answer is not None:
                await send(exchange.head())
                await send(_chunk(answer, more=False))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Stand in front of the server's own reaction to SIGTERM: it waits for what is open, and
        streams are open until they are told otherwise.
        """
        await receive()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _stop(self) -> None:
        # Its reaction to this one is the same, and still its own.
        signal.raise_signal(signal.SIGINT)
        Thread(target=self._feeds.close, name="farewell").start()

    def _work(self) -> None:
        while True:
            exchange = self._exchanges.get()
            answer = None
            try:
                answer = exchange.run(self._app)
            except Exception as error:
                # The application explains its own errors; this is a client that has gone.
                log.debug("request_broken_off", error=type(error).__name__)
            exchange.finish(answer)


class Bells:
    """Rings clients' bells from other threads. However many, the loop is called once: each call
    writes into the pipe through which it also learns of signals, and a full one loses them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._due: deque[asyncio.Event] = deque()
        self._called = False

    def ring(self, bell: asyncio.Event) -> None:
        """Set this event, soon, in the loop."""
        self._due.append(bell)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended before
                self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        # First the flag: a bell that comes now calls again, or is found below.
        self._called = False
        while self._due:
            self._due.popleft().set()


class Exchange:
    """One request and its answer, between a thread and the event loop."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, loop: asyncio.AbstractEventLoop):
        self.send = send
        self.receive = receive
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 500
        self.answered: asyncio.Future[Answer] = loop.create_future()
        self._scope = scope
        self._loop = loop
        self._body: io.BufferedIOBase = io.BytesIO()

    async def prepare(self) -> None:
        """Read a small body here, so that a slow client does not keep a thread waiting. A large
        one is read by the application, which may refuse it before.
        """
        names = dict(self._scope["headers"])
        length = names.get(b"content-length", b"0")
        if b"transfer-encoding" in names or not length.isdigit() or int(length) > _SMALL_BODY:
            self._body = io.BufferedReader(_Body(self))
        elif length != b"0":
            chunks, more = [], True
            while more:
                message = await self.receive()
                chunks.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = io.BytesIO(b"".join(chunks))

    def run(self, app: Flask) -> Answer:
        """Let the application answer, in the thread of the caller, and send what is large."""
        body = app(_environ(self._scope, self._body), self._start)
        if isinstance(body, EventStream):
            return body
        try:
            length = dict(self.headers).get(b"content-length", b"0")
            if int(length) <= _SMALL_ANSWER:
                return b"".join(body)
            self._send_all(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return None

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """The result of something that happens in the loop."""

        async def run() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def finish(self, answer: Answer) -> None:
        """Tell the loop that the thread is done."""
        with suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(self._set, answer)

    def head(self) -> MutableMapping[str, Any]:
        """The beginning of the answer."""
        return {"type": "http.response.start", "status": self.status, "headers": self.headers}

    def _set(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)
        elif isinstance(answer, EventStream):
            answer.close()

    def _start(self, status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        self.status = int(status[:3])
        self.headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]

    def _send_all(self, body: Iterable[bytes]) -> None:
        self.wait_for(self.send(self.head()))
        for chunk in body:
            # The server takes the next one when the client has made room for it.
            self.wait_for(self.send(_chunk(chunk, more=True)))
        self.wait_for(self.send(_chunk(b"", more=False)))


class _Body(io.RawIOBase):
    """A large body, read by a thread as it comes."""

    def __init__(self, exchange: Exchange):
        self._exchange = exchange
        self._rest = b""
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and self._more:
            message = self._exchange.wait_for(self._exchange.receive())
            self._rest = message.get("body", b"")
            self._more = message.get("more_body", False)
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


async def _carry(stream: EventStream, exchange: Exchange, bells: Bells) -> None:
    """Bring a stream to its client until one of them ends."""
    bell = asyncio.Event()
    stream.feed.ring = partial(bells.ring, bell)
    gone = asyncio.ensure_future(_gone(exchange.receive, bell))
    try:
        await exchange.send(exchange.head())
        while not gone.done():
            over = stream.feed.over
            chunk = stream.take()
            if chunk is not None:
                sending = exchange.send(_chunk(chunk, more=True))
                await asyncio.wait_for(sending, _STUCK_SECONDS)
            elif over:
                await exchange.send(_chunk(b"", more=False))
                return
            else:
                await bell.wait()
                bell.clear()
    except TimeoutError:
        log.info("stream_stuck")
    finally:
        gone.cancel()
        stream.close()


async def _gone(receive: Receive, bell: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    bell.set()


def _chunk(body: bytes, *, more: bool) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _environ(scope: Scope, body: io.BufferedIOBase) -> Environ:
    """The request as PEP 3333 wants it."""
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
        "wsgi.input": body,
        "wsgi.input_terminated": True,
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
