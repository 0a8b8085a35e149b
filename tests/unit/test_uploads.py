"""Bodies of requests, taken in with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from werkzeug.exceptions import RequestTimeout

from api.deadlines import SLACK_SECONDS
from api.uploads import (
    BYTES_A_SECOND,
    IN_MEMORY,
    LARGEST,
    REFUSAL,
    Message,
    Upload,
    Uploads,
    environ_of,
)
from orchestrator.errors import DependencyDown
from tests.virtual_time import now, run

SECONDS = 20.0
Part = tuple[float, bytes]


class Client:
    """Sends these parts, each after some seconds; what follows them, if anything, comes never."""

    def __init__(self, parts: Iterable[Part], *, ends: bool = True, goes: bool = False):
        self._parts = list(parts)
        self._ends = ends
        self._goes = goes

    async def receive(self) -> Message:
        """The next message, as a server brings it."""
        if not self._parts:
            if self._goes:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
        pause, body = self._parts.pop(0)
        await asyncio.sleep(pause)
        more = bool(self._parts) or not self._ends
        return {"type": "http.request", "body": body, "more_body": more}


def taken(
    client: Client, *, length: int | None = None, uploads: Uploads | None = None
) -> tuple[Upload | None, float]:
    """What became of this client's body, and when; without a length it is sent in chunks."""
    named = (b"transfer-encoding", b"chunked")
    if length is not None:
        named = (b"content-length", str(length).encode())

    async def take() -> tuple[Upload | None, float]:
        them = uploads or Uploads(seconds=SECONDS)
        return await them.take({"headers": [named]}, client.receive), now()

    return run(take())


def test_body_is_taken_when_it_comes_in_parts() -> None:
    """Each reader begins at its beginning."""
    upload, _ = taken(Client([(0, b"ab"), (1, b""), (1, b"cd")]), length=4)

    assert upload is not None
    assert (b"abcd", None) == (upload.stream.read(), upload.refusal)


def test_nothing_is_awaited_when_there_is_no_body() -> None:
    """A GET, and a body of no bytes."""
    upload, when = taken(Client([], ends=False), length=0)

    assert upload is not None
    assert (b"", None, 0) == (upload.stream.read(), upload.refusal, when)


@pytest.mark.parametrize("parts", [[], [(0, b"a")], [(5, b"x")] * 20])
def test_body_is_refused_when_it_does_not_come(parts: list[Part]) -> None:
    """Nothing at all, a beginning, or a byte now and then: in 20 seconds it is over."""
    upload, when = taken(Client(parts, ends=False), length=1000)

    assert upload is not None
    assert isinstance(upload.refusal, RequestTimeout)
    assert pytest.approx(SECONDS, abs=2 * SLACK_SECONDS) == when


def test_slow_body_is_taken_when_it_keeps_its_pace() -> None:
    """Every 16 KiB buy a second: a large image over a thin line arrives."""
    parts = [(1.0, b"x" * BYTES_A_SECOND)] * 100

    upload, when = taken(Client(parts), length=100 * BYTES_A_SECOND)

    assert upload is not None
    upload.stream.close()
    assert (100 * BYTES_A_SECOND, None, 100) == (upload.size, upload.refusal, when)


def test_nobody_is_answered_when_the_client_goes() -> None:
    """Neither with half a body nor with an error."""
    upload, _ = taken(Client([(0, b"half")], ends=False, goes=True), length=8)

    assert upload is None


def test_body_is_not_read_when_it_is_announced_as_too_large() -> None:
    """The application refuses it by its length."""
    upload, when = taken(Client([], ends=False), length=LARGEST + 1)

    assert upload is not None
    assert (b"", None, 0) == (upload.stream.read(), upload.refusal, when)


def test_reading_ends_when_a_body_of_no_announced_length_is_too_large() -> None:
    """The rest of it may be endless."""
    piece = b"x" * (1024 * 1024)
    endless = Client([(0, piece)] * (LARGEST // len(piece) + 10), ends=False)

    upload, _ = taken(endless)

    assert upload is not None
    assert LARGEST < upload.size <= LARGEST + len(piece)
    upload.stream.close()


def test_large_bodies_lie_on_the_disk_when_they_come() -> None:
    """All bytes of them, and memory keeps the small ones only."""
    piece = bytes(range(256)) * 256
    uploads = Uploads(seconds=SECONDS)

    small, _ = taken(Client([(0, piece[:IN_MEMORY])]), length=IN_MEMORY, uploads=uploads)
    large, _ = taken(Client([(0, piece)] * 3), length=3 * len(piece), uploads=uploads)

    assert small is not None
    assert large is not None
    assert (0, 3 * len(piece)) == (small.spooled, large.spooled)
    assert 3 * piece == large.stream.read()
    uploads.close(large)
    assert large.stream.closed


def test_large_body_is_refused_when_the_room_is_used_up() -> None:
    """And taken again once another one has been closed; small ones need no room."""
    piece = b"x" * (IN_MEMORY + 1)
    uploads = Uploads(seconds=SECONDS, room=len(piece))
    first, _ = taken(Client([(0, piece)]), length=len(piece), uploads=uploads)
    assert first is not None

    second, _ = taken(Client([(0, piece)]), length=len(piece), uploads=uploads)
    small, _ = taken(Client([(0, b"small")]), length=5, uploads=uploads)
    uploads.close(first)
    third, _ = taken(Client([(0, piece)]), length=len(piece), uploads=uploads)

    assert second is not None
    assert small is not None
    assert third is not None
    assert isinstance(second.refusal, DependencyDown)
    assert [None, None] == [small.refusal, third.refusal]
    third.stream.close()


def test_application_is_told_when_a_body_is_refused() -> None:
    """By the environment of the request; nothing else of it changes."""
    whole, _ = taken(Client([(0, b"all")]), length=3)
    cut, _ = taken(Client([(0, b"ha")], ends=False), length=4)

    assert whole is not None
    assert cut is not None
    assert {"wsgi.input", "wsgi.input_terminated"} == set(environ_of(whole))
    assert cut.refusal is environ_of(cut)[REFUSAL]
