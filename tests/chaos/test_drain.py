"""What a process does between SIGTERM and its end, when the platform's patience is short."""

from __future__ import annotations

import http.client
import json
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from tests.chaos.cluster import Cluster

HONCHO_SECONDS = 5.0
ADOPTED = "select video_id from attempts where state = 'accepted' and unknown_at is not null"
PATIENCE = 25.0
"""Seconds until SIGKILL."""

pytestmark = pytest.mark.xdist_group("drain")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for all: each test leaves it running."""
    with TemporaryDirectory(prefix="drain-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Cluster(folder, workers=1, create_seconds=60) as running:
            yield running


@pytest.mark.timeout(120)
def test_a_create_is_made_once_when_its_worker_is_cut_off_in_the_middle(cluster: Cluster) -> None:
    """The call takes longer than the grace: SIGKILL ends it, the lease runs out, and the list shows
    what became of it. Meanwhile a worker that was told to stop takes nothing new.
    """
    worker = cluster.programs["worker-1"]
    cluster.provider.faults("create.hang:40@1")
    slow = cluster.client.submit("a slow kite")
    _until(lambda: slow in cluster.provider.creations())

    stopping = threading.Thread(target=worker.stop, args=(HONCHO_SECONDS,))
    began = time.monotonic()
    stopping.start()
    _until(lambda: "Warm shutdown" in worker.output())
    later = cluster.client.submit("a later kite")
    stopping.join()
    took = time.monotonic() - began
    taken = set(cluster.provider.creations())
    worker.start()
    cluster.wait_until_settled(60)

    assert took >= HONCHO_SECONDS
    assert later not in taken
    assert {"completed": 2} == dict(cluster.verdict.endings({slow, later}))
    assert [1, 1] == [cluster.provider.creations()[video_id] for video_id in (slow, later)]
    assert [(slow,)] == cluster.verdict.rows(ADOPTED)
    assert [] == cluster.verdict.violations(), cluster.verdict.story()


@pytest.mark.timeout(120)
def test_a_worker_ends_when_it_is_told_to_while_redis_is_away(cluster: Cluster) -> None:
    """It does not wait for its broker, nor for the platform to kill it."""
    worker = cluster.programs["worker-1"]
    cluster.valkey.kill()
    # Its heartbeat comes every two seconds, and then it knows nothing but to reach the broker.
    _until(lambda: "Connection refused" in worker.output())

    began = time.monotonic()
    worker.stop(PATIENCE)
    took = time.monotonic() - began
    cluster.kill_valkey()
    worker.start()
    video_id = cluster.client.submit("a kite for whoever comes back")
    cluster.wait_until_settled(60)

    assert took < PATIENCE / 2
    assert {"completed": 1} == dict(cluster.verdict.endings({video_id}))


@pytest.mark.timeout(180)
def test_no_request_on_a_kept_connection_is_dropped_when_web_restarts(cluster: Cluster) -> None:
    """Whoever keeps connections is told to close them before they end; nobody sees a 5xx."""
    callers = [KeepAlive(cluster.web_url.removeprefix("http://")) for _ in range(6)]
    for _ in range(2):
        time.sleep(1)
        cluster.restart("web")
        cluster.wait_for(cluster.web_url)
    for caller in callers:
        caller.stop()
    cluster.wait_until_settled(90)

    accepted = {video_id for caller in callers for video_id in caller.accepted}
    statuses = sum((caller.statuses for caller in callers), Counter[int]())
    assert [] == [error for caller in callers for error in caller.dropped]
    assert {200, 202} == set(statuses)
    assert {"completed": len(accepted)} == dict(cluster.verdict.endings(accepted))


class KeepAlive:
    """Asks again and again on one connection, until it is told to close it or sees it closed, as
    the connection pools of HTTP clients do.
    """

    def __init__(self, host: str):
        self.statuses: Counter[int] = Counter()
        self.dropped: list[str] = []
        self.accepted: set[str] = set()
        self._host = host
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        asked = 0
        while not self._over.is_set():
            connection = http.client.HTTPConnection(self._host, timeout=20)
            kept = False
            try:
                while not self._over.wait(0.02) and not (kept and _is_closed(connection)):
                    asked += 1
                    kept = self._ask(connection, create=asked % 20 == 0)
                    if not kept:
                        break
            except (OSError, http.client.HTTPException) as error:
                # A new connection may come too late; the next server, or this one, is asked again.
                if kept:
                    self.dropped.append(repr(error))
                self._over.wait(0.05)
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection, *, create: bool) -> bool:
        """Whether the connection stays open."""
        headers = {"X-User-Id": "admin"}
        if create:
            body = json.dumps({"prompt": "a kite", "seconds": 2, "size": "320x240"})
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
            connection.request("POST", "/api/videos", body, headers)
        else:
            connection.request("GET", "/api/videos?limit=1", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        self.statuses[answer.status] += 1
        if answer.status == 202:
            self.accepted.add(json.loads(content)["id"])
        return not answer.will_close


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed it: nothing else can be read before anything is asked."""
    return connection.sock is None or bool(select.select([connection.sock], [], [], 0)[0])


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
