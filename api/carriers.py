"""Bring answers that take long to their clients, from the event loop: a client that reads slowly
keeps no thread, and one that does not read at all is cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import structlog

from api.exchange import Parts, chunk
from api.files import FileBody
from api.streams import EventStream
from api.uploads import Message, Receive

Send: TypeAlias = Callable[[Message], Awaitable[None]]
InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls something in a thread; awaits its result."""

STUCK_SECONDS = 60.0
"""Whoever takes nothing for so long has gone, whatever the network says."""

log = structlog.get_logger("api")


class Errands:
    """What other threads want done in the loop. However much, the loop is called once: each call
    costs a write into the pipe through which it also learns of signals, and a full one loses them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._due: deque[Callable[[], object]] = deque()
        self._called = False

    def add(self, errand: Callable[[], object]) -> None:
        """Call this, soon, in the loop."""
        self._due.append(errand)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended before
                self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        # First the flag: an errand that comes now calls again, or is found below.
        self._called = False
        while self._due:
            self._due.popleft()()


class Turns:
    """Lets a few go on in each round of the loop. A hundred that have always something to do would
    otherwise each have a turn before anybody else's next one comes.
    """

    def __init__(self, at_once: int = 4):
        self._at_once = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def turn(self) -> None:
        """Return when it is this caller's turn."""
        loop = asyncio.get_running_loop()
        own: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._next, loop)
        self._waiting.append(own)
        await own

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(self._at_once, len(self._waiting))):
            one = self._waiting.popleft()
            if not one.cancelled():
                one.set_result(None)
        if self._waiting:
            loop.call_soon(self._next, loop)


async def carry_stream(
    stream: EventStream, head: Message, *, receive: Receive, send: Send, errands: Errands
) -> None:
    """Bring a stream to its client until one of them ends."""
    bell = asyncio.Event()
    stream.feed.ring = partial(errands.add, bell.set)
    gone = asyncio.ensure_future(_gone(receive))
    gone.add_done_callback(lambda _: bell.set())
    try:
        await send(head)
        while not gone.done():
            over = stream.feed.over
            part = stream.take()
            if part is not None:
                await _sent(send, chunk(part, more=True))
            elif over:
                await send(chunk(b"", more=False))
                return
            else:
                await bell.wait()
                bell.clear()
    except TimeoutError:
        log.info("client_stuck", answer="stream")
    finally:
        gone.cancel()
        stream.close()


async def carry_parts(
    parts: Parts, head: Message, *, receive: Receive, send: Send, in_thread: InThread, turns: Turns
) -> None:
    """Bring a large body to its client. A thread makes each part that is not at hand, and none
    waits for the client to take it.
    """
    at_hand = parts.body.at_hand if isinstance(parts.body, FileBody) else _nothing
    # The server takes whatever is sent to a client that has gone, without a word.
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await send(head)
        while not gone.done():
            # Sending to a client with a quick ear is no pause.
            await turns.turn()
            part = at_hand() or await in_thread(parts.take)
            if part is None:
                break
            await _sent(send, chunk(part, more=True))
        await _sent(send, chunk(b"", more=False))
    except TimeoutError:
        log.info("client_stuck", answer="content")
    finally:
        gone.cancel()
        await in_thread(parts.close)


async def _sent(send: Send, message: Message) -> None:
    async with asyncio.timeout(STUCK_SECONDS):
        await send(message)


def _nothing() -> None:
    """Is at hand of a body that is made while it is sent."""


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
