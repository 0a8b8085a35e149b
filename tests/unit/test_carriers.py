"""Answers on their way to clients that read, read slowly, or have stopped reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from api.carriers import STUCK_SECONDS, Errands, Turns, carry_parts, carry_stream
from api.exchange import Parts
from api.files import FileBody
from api.streams import EventStream
from api.uploads import Message
from orchestrator.storage.contract import Content
from tests.virtual_time import now, run

HEAD: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Client:
    """Takes each message after some seconds; from the one with the number `stops` on, none. Goes
    after `leaves` messages; the server takes the others without a word.
    """

    def __init__(self, *, seconds: float = 0, stops: int | None = None, leaves: int | None = None):
        self._seconds = seconds
        self._stops = stops
        self._leaves = leaves
        self._left = asyncio.Event()
        self.got: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take a message."""
        if message["type"] == "http.response.start":
            return
        if len(self.got) == self._stops:
            await asyncio.Event().wait()
        await asyncio.sleep(self._seconds)
        self.got.append(message["body"])
        if len(self.got) == self._leaves:
            self._left.set()

    async def receive(self) -> Message:
        """It says nothing but that it goes."""
        await self._left.wait()
        return {"type": "http.disconnect"}


class Feed:
    """What a stream tells, without a database behind it."""

    def __init__(self) -> None:
        self.ring: Callable[[], None] = lambda: None
        self.over = False


class Stream:
    """A stream that has all of this to tell, and then is over."""

    def __init__(self, parts: list[bytes]):
        self.feed = Feed()
        self.closed = False
        self._parts = parts

    def take(self) -> bytes | None:
        """The next part."""
        self.feed.over = len(self._parts) <= 1
        return self._parts.pop(0) if self._parts else None

    def close(self) -> None:
        """Nobody carries it any longer."""
        self.closed = True


class Body:
    """The parts of a content."""

    def __init__(self, count: int):
        self._left = count
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            self._left -= 1
            self.taken += 1
            yield b"part"

    def close(self) -> None:
        """Its file is shut."""
        self.closed = True


class File:
    """A content of which every other part is at hand."""

    def __init__(self, count: int):
        self._left = count
        self.waited_for = 0
        self.closed = False

    def content(self) -> Content:
        """It, as a storage would open it."""
        return Content(self._left, 0, self._left, self._chunks(), self._close, self._at_hand)

    def _at_hand(self) -> bytes | None:
        return self._part() if self._left % 2 else None

    def _chunks(self) -> Iterator[bytes]:
        while self._left:
            self.waited_for += 1
            yield self._part()

    def _part(self) -> bytes:
        self._left -= 1
        return b"%d" % self._left

    def _close(self) -> None:
        self.closed = True


class Ready:
    """A content of which every part is at hand."""

    def __init__(self, count: int):
        self._left = count

    def parts(self) -> Parts:
        """It, as it comes from the application."""
        body = FileBody(Content(0, 0, 0, iter(()), lambda: None, self._at_hand))
        return Parts(iter(body), body)

    def _at_hand(self) -> bytes | None:
        self._left -= 1
        return b"part" if self._left >= 0 else None


async def in_thread(call: Callable[[], Any]) -> Any:
    """Calls at once: a thread has time of its own."""
    return call()


def stream_carried(stream: Stream, client: Client) -> float:
    """When the carrying of this stream ended."""

    async def carry() -> float:
        errands = Errands(asyncio.get_running_loop())
        carried = cast(EventStream, stream)
        await carry_stream(carried, HEAD, receive=client.receive, send=client.send, errands=errands)
        return now()

    return run(carry())


async def carried(parts: Parts, client: Client, turns: Turns) -> None:
    """Bring it there."""
    await carry_parts(
        parts, HEAD, receive=client.receive, send=client.send, in_thread=in_thread, turns=turns
    )


def parts_carried(body: Body | FileBody, client: Client) -> float:
    """When the carrying of this content ended."""

    async def carry() -> float:
        parts = Parts(iter(body), body)
        await carried(parts, client, Turns())
        return now()

    return run(carry())


def test_stream_is_cut_off_when_its_client_does_not_read() -> None:
    """After a minute, and the stream is closed: nothing is kept for a client that is not there."""
    client, stream = Client(stops=3), Stream([b"told"] * 10)

    ended = stream_carried(stream, client)

    assert (STUCK_SECONDS, True, 3) == (ended, stream.closed, len(client.got))


def test_stream_goes_on_when_its_client_reads_slowly() -> None:
    """A message in almost a minute is slow, but it is reading."""
    client, stream = Client(seconds=STUCK_SECONDS - 1), Stream([b"told"] * 3)

    stream_carried(stream, client)

    assert ([b"told"] * 3 + [b""], True) == (client.got, stream.closed)


def test_content_is_cut_off_when_its_client_does_not_read() -> None:
    """After a minute; its file is closed, and no more of it was read than was asked for."""
    client, body = Client(stops=2), Body(1000)

    ended = parts_carried(body, client)

    assert (STUCK_SECONDS, True, 3) == (ended, body.closed, body.taken)


def test_content_is_brought_whole_when_its_client_reads_slowly() -> None:
    """However long that takes: it costs no thread."""
    client, body = Client(seconds=STUCK_SECONDS - 1), Body(100)

    ended = parts_carried(body, client)

    assert ([b"part"] * 100 + [b""], True) == (client.got, body.closed)
    assert ended > 100 * (STUCK_SECONDS - 1)


def test_thread_reads_only_what_is_not_at_hand_when_a_file_is_sent() -> None:
    """The parts of both kinds arrive in their order."""
    client, file = Client(), File(5)

    parts_carried(FileBody(file.content()), client)

    assert ([b"4", b"3", b"2", b"1", b"0", b""], 2, True) == (
        client.got,
        file.waited_for,
        file.closed,
    )


def test_others_have_their_turn_when_all_of_many_files_is_at_hand() -> None:
    """Clients that take everything at once must not keep the loop, however many they are."""
    rounds = 0

    class Greedy(Client):
        async def send(self, message: Message) -> None:
            self.got.append(message.get("body", b""))

    async def count() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0)
            rounds += 1

    async def carry() -> None:
        turns = Turns(at_once=2)
        other = asyncio.ensure_future(count())
        await asyncio.gather(*[carried(Ready(10).parts(), Greedy(), turns) for _ in range(6)])
        other.cancel()

    run(carry())

    assert rounds >= 30


def test_turn_comes_for_the_others_when_one_has_given_up() -> None:
    """Whoever was cut off while it waited keeps nobody waiting."""

    async def wait() -> bool:
        turns = Turns(at_once=1)
        first, second = (asyncio.ensure_future(turns.turn()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        return first.cancelled()

    assert run(wait())


def test_reading_ends_when_the_client_of_a_content_goes() -> None:
    """Nobody reads gigabytes for nobody."""
    client, body = Client(seconds=1, leaves=3), Body(1000)

    parts_carried(body, client)

    assert body.closed
    assert body.taken <= 4


def test_stream_ends_when_its_client_goes() -> None:
    """It is closed, whatever it still had to tell."""
    client, stream = Client(seconds=1, leaves=3), Stream([b"told"] * 1000)

    stream_carried(stream, client)

    assert stream.closed
    assert len(client.got) <= 4


def test_content_is_closed_when_reading_it_fails() -> None:
    """The client gets less than was announced, which is how it knows."""

    class Broken(Body):
        def __iter__(self) -> Iterator[bytes]:
            yield b"part"
            raise OSError("the disk is gone")

    client, body = Client(), Broken(2)

    with pytest.raises(OSError, match="the disk"):
        parts_carried(body, client)

    assert ([b"part"], True) == (client.got, body.closed)
