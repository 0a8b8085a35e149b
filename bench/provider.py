"""A provider that costs as little as one in Python can, so that nobody measures it by mistake.

`python -m bench.provider PORT SHORTEST LONGEST [NUMBER]` serves the Videos API: each video takes a
random time between these (seconds) and is then the same small file; so many are at work from the
start, see `begun`. `GET /seen` tells what it was asked and when each video was done. For real
pictures and real faults there is the sandbox.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.movie import MOVIE

PAGE = 100
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FIELD = re.compile(rb'name="(\w+)"(?:\r\n[^\r\n]+)*\r\n\r\n(.*?)\r\n--', re.DOTALL)

Json = dict[str, Any]


def begun(number: int, shortest: float, longest: float) -> Sequence[tuple[float, float]]:
    """So many videos as they are at work where as many come as go: how long each has taken so far
    and will still take (seconds), the oldest first. The same each time.
    """
    dice = random.Random(number)  # noqa: S311 - no secret
    whole = [dice.uniform(shortest, longest) for _ in range(number)]
    ages = [takes * dice.random() for takes in whole]
    videos = [(age, takes - age) for takes, age in zip(whole, ages, strict=True)]
    return sorted(videos, reverse=True)


def asked(number: int) -> Json:
    """What the video of this number was asked for."""
    prompt = f"A paper boat passes lantern {number}"
    return {"model": "sora-2", "prompt": prompt, "seconds": "4", "size": "720x1280"}


class Books:
    """All videos, in the order in which they were asked for."""

    def __init__(self, shortest: float, longest: float):
        self._range = (shortest, longest)
        self._place: dict[str, int] = {}
        self._videos: list[Json] = []
        self._done: list[float] = []
        self.calls: Counter[str] = Counter()

    def begin(self, number: int) -> None:
        """Be at work on so many."""
        now = time.time()
        for place, (age, left) in enumerate(begun(number, *self._range)):
            self._take(asked(place), now - age, now + left)

    def create(self, fields: Json) -> Json:
        """Take a job."""
        now = time.time()
        wanted = {name: fields[name] for name in ("model", "prompt", "seconds", "size")}
        number = self._take(wanted, now, now + random.uniform(*self._range))  # noqa: S311 - no secret
        return self._shown(number, now)

    def _take(self, wanted: Json, at: float, done: float) -> int:
        number = len(self._videos)
        video = {"id": f"video_{number:032x}", "object": "video", "created_at": int(at), **wanted}
        self._place[video["id"]] = number
        self._videos.append(video)
        self._done.append(done)
        return number

    def show(self, video_id: str) -> Json | None:
        """How far it is."""
        number = self._place.get(video_id)
        return None if number is None else self._shown(number, time.time())

    def page(self, after: str | None, limit: int) -> Json:
        """The newest, or those that came before `after`."""
        end = len(self._videos) if after is None else self._place.get(after, 0)
        start = max(0, end - limit)
        now = time.time()
        data = [self._shown(number, now) for number in range(end - 1, start - 1, -1)]
        return {"object": "list", "data": data, "has_more": start > 0}

    def seen(self) -> Json:
        """The calls by kind, and when each video was done (Unix time)."""
        done = {video["id"]: at for video, at in zip(self._videos, self._done, strict=True)}
        return {"calls": self.calls, "done": done}

    def _shown(self, number: int, now: float) -> Json:
        over = self._done[number] <= now
        status = {"status": "completed" if over else "in_progress", "progress": 100 if over else 50}
        return {**self._videos[number], **status}


class Connection(asyncio.Protocol):
    """One client, one request after another."""

    def __init__(self, books: Books):
        self._books = books
        self._pending = b""
        self._write: Callable[[bytes], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answers go there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has no other
        self._write = transport.write

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            length = _LENGTH.search(head)
            until = end + 4 + (int(length[1]) if length else 0)
            if len(self._pending) < until:
                return
            body, self._pending = self._pending[end + 4 : until], self._pending[until:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        books, address = self._books, urlsplit(target)
        place = address.path.removeprefix("/v1/videos").strip("/")
        if address.path == "/seen":
            self._send(books.seen())
        elif method == "POST":
            books.calls["create"] += 1
            self._send(books.create(_fields(body)))
        elif not place:
            books.calls["list"] += 1
            query = parse_qs(address.query)
            after = query.get("after", [None])[0]
            self._send(books.page(after, int(query.get("limit", [str(PAGE)])[0])))
        elif place.endswith("/content"):
            books.calls["content"] += 1
            self._reply(200, "video/mp4", MOVIE)
        else:
            books.calls["retrieve"] += 1
            self._send(books.show(place))

    def _send(self, found: Json | None) -> None:
        missing = {"error": {"message": "There is no such video.", "code": "not_found"}}
        self._reply(
            404 if found is None else 200,
            "application/json",
            json.dumps(missing if found is None else found).encode(),
        )

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._write(head.encode() + body)


def _fields(body: bytes) -> Json:
    if body.startswith(b"{"):
        fields: Json = json.loads(body)
        return fields
    return {name.decode(): value.decode() for name, value in _FIELD.findall(body)}


async def serve(port: int, shortest: float, longest: float, number: int = 0) -> None:
    """Serve until killed."""
    books = Books(shortest, longest)
    books.begin(number)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(books), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    port, shortest, longest, *number = sys.argv[1:]
    asyncio.run(serve(int(port), float(shortest), float(longest), *map(int, number)))
