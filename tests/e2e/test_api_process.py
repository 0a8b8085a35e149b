"""The web process: it serves, it stops, it leaves nobody behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from orchestrator.meters import REQUESTS
from orchestrator.tallies import Tallies
from tests.web_process import PATIENCE, Starter


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


def test_request_is_answered_when_sigterm_comes_in_the_middle(start: Starter) -> None:
    """What has begun is finished; then the process ends with 0 and nobody is left."""
    served = start()
    workers = children(served.process.pid)
    body = json.dumps({"prompt": "a red kite", "seconds": "5"}).encode()
    head = (
        "POST /api/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    with closing(socket.create_connection(("127.0.0.1", start.port), timeout=PATIENCE)) as client:
        client.sendall(head + body[:10])
        # The server has the head once it has answered somebody who came later.
        assert 200 == served.call("GET", "/healthz")[0]
        served.process.send_signal(signal.SIGTERM)
        client.sendall(body[10:])
        answer = client.recv(1000)

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert 0 == served.process.wait(PATIENCE)
    assert [False] == [alive(worker) for worker in workers]


def test_kept_connections_are_answered_once_more_when_sigterm_comes(start: Starter) -> None:
    """Each is told to close before it is closed, however long it has been idle."""
    served = start()
    with ExitStack() as stack:
        opened = [http.client.HTTPConnection("127.0.0.1", served.port, timeout=5) for _ in range(5)]
        first, *others = (stack.enter_context(closing(connection)) for connection in opened)
        for connection in (first, *others):
            assert (200, False) == ask(connection)

        served.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(first) == (200, True))

        assert [(200, True)] * 4 == [ask(connection) for connection in others]
    assert 0 == served.process.wait(PATIENCE)


def ask(connection: http.client.HTTPConnection) -> tuple[int, bool]:
    """The status of an answer on this connection, and whether it is closed now."""
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.will_close


def test_workers_end_when_their_supervisor_is_killed(start: Starter) -> None:
    """SIGKILL cannot be passed on, so they look for themselves."""
    served = start(WEB_PROCESSES="2")
    workers = children(served.process.pid)

    served.process.kill()

    assert 2 == len(workers)
    wait_until(lambda: not any(alive(worker) for worker in workers))


def test_worker_comes_back_when_it_was_killed(start: Starter) -> None:
    """The supervisor starts another one."""
    served = start()
    (worker,) = children(served.process.pid)

    os.kill(worker, signal.SIGKILL)

    wait_until(lambda: not alive(worker) and served.call("GET", "/healthz")[0] == 200)


def test_start_fails_in_one_sentence_when_the_port_is_taken(start: Starter) -> None:
    """Exit code 2, and no traceback."""
    with closing(socket.create_server(("127.0.0.1", start.port))):
        served = start(until_ready=False)
        code = served.process.wait(PATIENCE)

    said = served.log.read_text()
    assert 2 == code
    assert f"Cannot listen at HOST=127.0.0.1 PORT={start.port}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "value"), [("AUTH", "maybe"), ("PORT", "many"), ("HOST", "0.0.0.0")]
)
def test_start_fails_in_one_sentence_when_a_setting_cannot_be(
    start: Starter, name: str, value: str
) -> None:
    """AUTH=off beyond loopback among them."""
    served = start(until_ready=False, **{name: value})

    code = served.process.wait(PATIENCE)

    said = served.log.read_text()
    assert 2 == code
    assert name in said
    assert "Traceback" not in said


def test_connection_stays_open_when_several_requests_come(start: Starter) -> None:
    """Keep-alive, through errors too."""
    start()

    with closing(http.client.HTTPConnection("127.0.0.1", start.port, timeout=5)) as connection:
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


def test_requests_are_logged_on_one_line_when_served(start: Starter) -> None:
    """With route, status, user and time; health checks are not worth a line."""
    served = start()
    for path in ("/api/videos", "/api/quota"):
        served.call("GET", path)

    served.process.terminate()
    served.process.wait(PATIENCE)

    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert {"/api/videos", "/api/quota"} == {line["route"] for line in requests}
    assert {("GET", 200, "test_user")} == {
        (line["method"], line["status"], line["user_id"]) for line in requests
    }


def test_counts_are_told_when_the_server_stops(start: Starter, redis_url: str) -> None:
    """What was counted since the last time, and that this process lives no longer."""
    served = start()
    served.call("GET", "/healthz")

    served.process.terminate()
    served.process.wait(PATIENCE)

    tallies = Tallies(redis_url)
    totals = tallies.read()
    tallies.close()
    assert totals is not None
    assert 1 == totals.sums[REQUESTS.name, "", "GET", "/healthz", "200"]
    assert () == totals.processes
