"""Serves the WSGI application from an event loop. Requests run in threads as ever, from when all of
them has come until their answer is made; what comes and goes slowly takes none.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

import structlog
from flask import Flask

from api.carriers import Errands, Send, Turns, carry_parts, carry_stream
from api.exchange import Answer, Exchange, Parts, chunk, start
from api.express import Express
from api.streams import EventStream, feeds_of
from api.uploads import Message, Receive, Scope, Upload, Uploads
from api.waiting import room_of

LINGER_SECONDS = 1.0
"""How long after SIGTERM requests are still taken, each answered with `Connection: close`: a client
that keeps its connection must not find it closed just when it sends on it.
"""
_QUIET_SECONDS = 10.0
"""Without any request for so long nobody is in the middle of anything."""

log = structlog.get_logger("api")


Job: TypeAlias = tuple[Callable[[], Any], asyncio.Future[Any], Errands]
"""A call, who waits for its result, and how the thread that makes it reaches that one's loop."""


class Bridge:
    """An ASGI application around a Flask one.

    threads: for its requests.
    seconds: how long the body of a request may take, as for `Uploads`.
    """

    def __init__(self, app: Flask, *, threads: int, seconds: float):
        self._app = app
        self._feeds = feeds_of(app)
        self._room = room_of(app)
        self._express = Express(app)
        self._uploads = Uploads(seconds=seconds)
        # A pool of futures would cost each request as much as the server itself does.
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._turns = Turns()
        self._errands: Errands | None = None
        self._asked_at = float("-inf")
        self._leaving = False
        for n in range(threads):
            Thread(target=self._work, name=f"request-{n}", daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                await self._serve(scope, receive, send)
            except Exception:
                # What the application can explain it has answered. The server ends the connection.
                log.exception("request_broken_off", path=scope["path"])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        upload = await self._uploads.take(scope, receive)
        if upload is None:
            return
        try:
            answer, head = await self._answer(scope, upload)
        finally:
            self._uploads.close(upload)
        if self._leaving:
            head["headers"] = [*head["headers"], (b"connection", b"close")]
        if isinstance(answer, bytes):
            await send(head)
            await send(chunk(answer, more=False))
        elif isinstance(answer, Parts):
            await carry_parts(
                answer,
                head,
                receive=receive,
                send=send,
                in_thread=self._in_thread,
                turns=self._turns,
            )
        else:
            errands = self._of_loop()
            await carry_stream(answer, head, receive=receive, send=send, errands=errands)

    async def _answer(self, scope: Scope, upload: Upload) -> tuple[Answer, Message]:
        """The answer to a request, and how it begins."""
        reply = await self._express.answer(scope, upload, self._of_loop())
        if reply is not None:
            return reply.body, start(reply.status, reply.headers)
        exchange = Exchange(scope, upload)
        answer = await self._in_thread(partial(exchange.run, self._app))
        return answer, exchange.head()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Stand in front of the server's own reaction to SIGTERM: it waits for what is open, and
        streams are open until they are told otherwise.
        """
        await receive()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, loop)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._leaving:
            self._leaving = True
            quiet = loop.time() - self._asked_at > _QUIET_SECONDS
            loop.call_later(0 if quiet else LINGER_SECONDS, self._leave)

    def _leave(self) -> None:
        # Its reaction to this one is the same, and still its own.
        signal.raise_signal(signal.SIGINT)
        self._room.close()
        Thread(target=self._feeds.close, name="farewell").start()

    def _in_thread(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """The result of this call, which one of the threads makes."""
        called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put((call, called, self._of_loop()))
        return called

    def _of_loop(self) -> Errands:
        if self._errands is None:
            self._errands = Errands(asyncio.get_running_loop())
        return self._errands

    def _work(self) -> None:
        while True:
            call, called, errands = self._jobs.get()
            result: Any = None
            failure: Exception | None = None
            try:
                result = call()
            except Exception as error:  # whoever waits for it is told
                failure = error
            errands.add(partial(_tell, called, result, failure))


def _tell(called: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
    if called.cancelled():
        # Its request was broken off meanwhile, and nobody else will close what it made.
        if isinstance(result, EventStream | Parts):
            result.close()
    elif failure is None:
        called.set_result(result)
    else:
        called.set_exception(failure)
