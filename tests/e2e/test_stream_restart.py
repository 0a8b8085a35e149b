"""Streams over the real server: through restarts, and beside the API."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.web_process import PATIENCE, Starter, Web


@dataclass(frozen=True)
class Told:
    """One message of a stream."""

    event: str
    cursor: str | None
    data: dict[str, object]


def create(served: Web) -> str:
    """A new video; its id."""
    status, video = served.call("POST", "/api/videos", {"prompt": "a red kite", "seconds": "5"})
    assert 202 == status
    return str(video["id"])


class Reader:
    """A client of a stream, as a browser would be one."""

    def __init__(self, served: Web, path: str):
        self._port = served.port
        self._path = path
        self.cursor: str | None = None
        self._open()

    def connect(self) -> None:
        """Connect again, from where it stands."""
        self.close()
        self._open()

    def _open(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        self._connection.request("GET", self._path, headers=headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def messages(self) -> Iterator[Told]:
        """Messages until the stream ends."""
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                self.cursor = fields.get("id", self.cursor)
                yield Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
                fields = {}
        self.close()

    def close(self) -> None:
        """Leave."""
        self.answer.close()
        self._connection.close()


def test_stream_loses_and_repeats_nothing_when_web_restarts(start: Starter) -> None:
    """It ends at once on SIGTERM; whoever connects again goes on where it stood."""
    served = start()
    reader = Reader(served, "/api/events/stream")
    first, told = reader.messages(), []
    assert "snapshot" == next(first).event
    videos = [create(served) for _ in range(3)]
    told += [next(first) for _ in range(3)]

    served.process.send_signal(signal.SIGTERM)
    told += list(first)
    assert 0 == served.process.wait(5)
    start()
    videos += [create(served) for _ in range(3)]
    reader.connect()
    second = reader.messages()
    told += [next(second) for _ in range(3)]
    reader.close()

    assert videos == [one.data["video_id"] for one in told]
    assert {"created"} == {one.event for one in told}


def test_stream_goes_on_when_its_process_was_killed(start: Starter) -> None:
    """No farewell was possible; the cursor is enough."""
    served = start()
    video_id = create(served)
    reader = Reader(served, f"/api/videos/{video_id}/events/stream")
    assert "snapshot" == next(reader.messages()).event

    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()
    start()
    assert 200 == served.call("POST", f"/api/videos/{video_id}/cancel")[0]
    reader.connect()
    told = list(reader.messages())
    reader.connect()

    assert ["status_changed", "cancelled"] == [one.event for one in told]
    assert 204 == reader.status
    reader.close()


def test_many_streams_leave_the_threads_to_the_api(start: Starter) -> None:
    """Fifty clients wait, two threads answer, and all hear of the end within moments."""
    served = start(WEB_THREADS="2")
    video_id = create(served)
    readers = [Reader(served, f"/api/videos/{video_id}/events/stream") for _ in range(50)]
    streams = [reader.messages() for reader in readers]
    assert {"snapshot"} == {next(stream).event for stream in streams}

    assert 200 == served.call("POST", f"/api/videos/{video_id}/cancel")[0]
    ends = [[one.event for one in stream] for stream in streams]

    assert [["status_changed", "cancelled"]] * 50 == ends


def test_clients_that_left_are_forgotten(start: Starter) -> None:
    """Their places are free for others of the same user."""
    served = start(STREAMS_PER_USER="2")
    first, second = (Reader(served, "/api/events/stream") for _ in range(2))
    refused = Reader(served, "/api/events/stream")
    assert (200, 200, 429) == (first.status, second.status, refused.status)

    first.close()

    deadline = time.monotonic() + PATIENCE
    while (again := Reader(served, "/api/events/stream")).status != 200:
        assert time.monotonic() < deadline, "the place stays taken"
        again.close()
        time.sleep(0.05)
    for reader in (second, refused, again):
        reader.close()
