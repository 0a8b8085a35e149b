"""Streams over the real server: through restarts, and beside the API."""

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
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

Start = Callable[..., subprocess.Popen[bytes]]
PATIENCE = 30.0


@dataclass(frozen=True)
class Told:
    """One message of a stream."""

    event: str
    cursor: str | None
    data: dict[str, object]


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        found: int = server.getsockname()[1]
        return found


@pytest.fixture
def start(database_url: str, redis_url: str, tmp_path: Path, port: int) -> Iterator[Start]:
    """Starts `python -m api` and waits until it serves; kills what is left of it afterwards."""
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


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    """Status and JSON of an answer; 0 if nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            return 0, {}
        return answer.status, json.loads(text) if text else {}


def create(port: int) -> str:
    """A new video; its id."""
    status, video = call(port, "POST", "/api/videos", {"prompt": "a red kite", "seconds": "5"})
    assert 202 == status
    return str(video["id"])


class Reader:
    """A client of a stream, as a browser would be one."""

    def __init__(self, port: int, path: str):
        self._port = port
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


def test_stream_loses_and_repeats_nothing_when_web_restarts(start: Start, port: int) -> None:
    """It ends at once on SIGTERM; whoever connects again goes on where it stood."""
    process = start()
    reader = Reader(port, "/api/events/stream")
    first, told = reader.messages(), []
    assert "snapshot" == next(first).event
    videos = [create(port) for _ in range(3)]
    told += [next(first) for _ in range(3)]

    process.send_signal(signal.SIGTERM)
    told += list(first)
    assert 0 == process.wait(5)
    start()
    videos += [create(port) for _ in range(3)]
    reader.connect()
    second = reader.messages()
    told += [next(second) for _ in range(3)]
    reader.close()

    assert videos == [one.data["video_id"] for one in told]
    assert {"created"} == {one.event for one in told}


def test_stream_goes_on_when_its_process_was_killed(start: Start, port: int) -> None:
    """No farewell was possible; the cursor is enough."""
    process = start()
    video_id = create(port)
    reader = Reader(port, f"/api/videos/{video_id}/events/stream")
    assert "snapshot" == next(reader.messages()).event

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    start()
    assert 200 == call(port, "POST", f"/api/videos/{video_id}/cancel")[0]
    reader.connect()
    told = list(reader.messages())
    reader.connect()

    assert ["status_changed", "cancelled"] == [one.event for one in told]
    assert 204 == reader.status
    reader.close()


def test_many_streams_leave_the_threads_to_the_api(start: Start, port: int) -> None:
    """Fifty clients wait, two threads answer, and all hear of the end within moments."""
    start(WEB_THREADS="2")
    video_id = create(port)
    readers = [Reader(port, f"/api/videos/{video_id}/events/stream") for _ in range(50)]
    streams = [reader.messages() for reader in readers]
    assert {"snapshot"} == {next(stream).event for stream in streams}

    assert 200 == call(port, "POST", f"/api/videos/{video_id}/cancel")[0]
    ends = [[one.event for one in stream] for stream in streams]

    assert [["status_changed", "cancelled"]] * 50 == ends


def test_clients_that_left_are_forgotten(start: Start, port: int) -> None:
    """Their places are free for others of the same user."""
    start(STREAMS_PER_USER="2")
    first, second = (Reader(port, "/api/events/stream") for _ in range(2))
    refused = Reader(port, "/api/events/stream")
    assert (200, 200, 429) == (first.status, second.status, refused.status)

    first.close()

    deadline = time.monotonic() + PATIENCE
    while (again := Reader(port, "/api/events/stream")).status != 200:
        assert time.monotonic() < deadline, "the place stays taken"
        again.close()
        time.sleep(0.05)
    for reader in (second, refused, again):
        reader.close()
