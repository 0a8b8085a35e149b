"""The web process: it serves, it stops, it leaves nobody behind."""

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
from threading import Thread

import pytest

from orchestrator.meters import REQUESTS
from orchestrator.tallies import Tallies

Start = Callable[..., subprocess.Popen[bytes]]
PATIENCE = 30.0


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        found: int = server.getsockname()[1]
        return found


@pytest.fixture
def start(database_url: str, redis_url: str, tmp_path: Path, port: int) -> Iterator[Start]:
    """Starts `python -m api`; whatever is left of it afterwards is killed."""
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
        "LOG_FORMAT": "json",
    }

    def begin(*, until_ready: bool = True, **changes: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            env=env | changes,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        if until_ready:
            wait_until(lambda: get(port, "/readyz") == 200)
        return process

    yield begin

    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def get(port: int, address: str) -> int | None:
    """The status of an answer; None if nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", address)
            return connection.getresponse().status
        except OSError:
            return None


def wait_until(true: Callable[[], bool]) -> None:
    """Wait, within reason, for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The living children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_request_is_answered_when_sigterm_comes_in_the_middle(start: Start, port: int) -> None:
    """What has begun is finished; then the process ends with 0 and nobody is left."""
    process = start()
    workers = children(process.pid)
    body = json.dumps({"prompt": "a red kite", "seconds": "5"}).encode()
    head = (
        "POST /api/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as client:
        client.sendall(head + body[:10])
        # The server has the head once it has answered somebody who came later.
        assert 200 == get(port, "/healthz")
        process.send_signal(signal.SIGTERM)
        client.sendall(body[10:])
        answer = client.recv(1000)

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert 0 == process.wait(PATIENCE)
    assert [False] == [alive(worker) for worker in workers]


def test_kept_connections_are_answered_once_more_when_sigterm_comes(
    start: Start, port: int
) -> None:
    """Each is told to close before it is closed, however long it has been idle."""
    process = start()
    with ExitStack() as stack:
        first, *others = (
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)))
            for _ in range(5)
        )
        for connection in (first, *others):
            assert (200, False) == ask(connection)

        process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(first) == (200, True))

        assert [(200, True)] * 4 == [ask(connection) for connection in others]
    assert 0 == process.wait(PATIENCE)


def ask(connection: http.client.HTTPConnection) -> tuple[int, bool]:
    """The status of an answer on this connection, and whether it is closed now."""
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.will_close


def test_workers_end_when_their_supervisor_is_killed(start: Start) -> None:
    """SIGKILL cannot be passed on, so they look for themselves."""
    process = start(WEB_PROCESSES="2")
    workers = children(process.pid)

    process.kill()

    assert 2 == len(workers)
    wait_until(lambda: not any(alive(worker) for worker in workers))


def test_worker_comes_back_when_it_was_killed(start: Start, port: int) -> None:
    """The supervisor starts another one."""
    process = start()
    (worker,) = children(process.pid)

    os.kill(worker, signal.SIGKILL)

    wait_until(lambda: not alive(worker) and get(port, "/healthz") == 200)


def test_start_fails_in_one_sentence_when_the_port_is_taken(start: Start, port: int) -> None:
    """Exit code 2, and no traceback."""
    with closing(socket.create_server(("127.0.0.1", port))):
        process = start(until_ready=False)
        _, said = process.communicate(timeout=PATIENCE)

    assert 2 == process.returncode
    assert f"Cannot listen at HOST=127.0.0.1 PORT={port}" in said.decode()
    assert "Traceback" not in said.decode()


@pytest.mark.parametrize(
    ("name", "value"), [("AUTH", "maybe"), ("PORT", "many"), ("HOST", "0.0.0.0")]
)
def test_start_fails_in_one_sentence_when_a_setting_cannot_be(
    start: Start, name: str, value: str
) -> None:
    """AUTH=off beyond loopback among them."""
    process = start(until_ready=False, **{name: value})

    _, said = process.communicate(timeout=PATIENCE)

    assert 2 == process.returncode
    assert name in said.decode()
    assert "Traceback" not in said.decode()


def test_connection_stays_open_when_several_requests_come(start: Start, port: int) -> None:
    """Keep-alive, through errors too."""
    start()

    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.connect()
        used = connection.sock
        statuses = []
        for address in ("/healthz", "/api/videos/none", "/api/videos", "/"):
            connection.request("GET", address)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)

        assert used is connection.sock
    assert [200, 404, 200, 200] == statuses


def test_requests_are_logged_on_one_line_when_served(start: Start, port: int) -> None:
    """With route, status, user and time; health checks are not worth a line."""
    process = start()
    Thread(target=get, args=(port, "/api/videos")).start()
    wait_until(lambda: get(port, "/api/quota") == 200)
    process.terminate()

    _, written = process.communicate(timeout=PATIENCE)

    lines = [json.loads(line) for line in written.decode().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert {"/api/videos", "/api/quota"} == {line["route"] for line in requests}
    assert {("GET", 200, "test_user")} == {
        (line["method"], line["status"], line["user_id"]) for line in requests
    }


def test_counts_are_told_when_the_server_stops(start: Start, port: int, redis_url: str) -> None:
    """What was counted since the last time, and that this process lives no longer."""
    process = start()
    get(port, "/healthz")

    process.terminate()
    process.wait(PATIENCE)

    tallies = Tallies(redis_url)
    totals = tallies.read()
    tallies.close()
    assert totals is not None
    assert 1 == totals.sums[REQUESTS.name, "", "GET", "/healthz", "200"]
    assert () == totals.processes
