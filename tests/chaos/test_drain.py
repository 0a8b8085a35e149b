"""What a process does between SIGTERM and its end, when the platform's patience is short."""

from __future__ import annotations

import http.client
import json
import select
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.chaos.cluster import Cluster

HONCHO_SECONDS = 5.0


@pytest.mark.timeout(120)
def test_a_create_is_made_once_when_its_worker_is_cut_off_in_the_middle(folder: Path) -> None:
    """The call takes longer than the grace: SIGKILL ends it, the lease runs out, and the list shows
    what became of it. Meanwhile a worker that was told to stop takes nothing new.
    """
    with Cluster(folder, workers=1, create_seconds=60) as cluster:
        cluster.provider.faults("create.hang:40@1")
        slow = cluster.client.submit("a slow kite")
        _until(lambda: {slow} == set(cluster.provider.creations()))

        stopping = threading.Thread(
            target=cluster.programs["worker-1"].stop, args=(HONCHO_SECONDS,)
        )
        began = time.monotonic()
        stopping.start()
        _until(lambda: "Warm shutdown" in cluster.programs["worker-1"].output())
        later = cluster.client.submit("a later kite")
        stopping.join()
        took = time.monotonic() - began
        taken = set(cluster.provider.creations())
        cluster.programs["worker-1"].start()
        endings = cluster.wait_until_settled(60)

        assert took >= HONCHO_SECONDS
        assert {slow} == taken
        assert {"completed": 2} == dict(endings), cluster.verdict.story()
        assert {slow: 1, later: 1} == cluster.provider.creations()
        assert [] == cluster.verdict.violations(), cluster.verdict.story()
        assert [(1,)] == cluster.verdict.rows(ADOPTED)


@pytest.mark.timeout(120)
def test_a_worker_ends_when_it_is_told_to_while_redis_is_away(folder: Path) -> None:
    """It does not wait for its broker, nor for the platform to kill it."""
    with Cluster(folder, workers=1, schedulers=0) as cluster:
        video_id = cluster.client.submit("a kite")
        _until(lambda: cluster.verdict.endings() == {"completed": 1})
        cluster.valkey.kill()
        # Its heartbeat comes every two seconds, and then it knows nothing but to reach the broker.
        _until(lambda: "Connection refused" in cluster.programs["worker-1"].output())

        began = time.monotonic()
        cluster.programs["worker-1"].stop()
        took = time.monotonic() - began

        assert took < PATIENCE / 2
        assert {video_id: 1} == cluster.provider.creations()


@pytest.mark.timeout(180)
def test_no_request_on_a_kept_connection_is_dropped_when_web_restarts(folder: Path) -> None:
    """Whoever keeps connections is told to close them before they end; nobody sees a 5xx."""
    with Cluster(folder, workers=1) as cluster:
        callers = [KeepAlive(cluster.web_url.removeprefix("http://")) for _ in range(6)]
        for _ in range(3):
            time.sleep(1)
            cluster.restart("web")
            cluster.wait_for(cluster.web_url)
        for caller in callers:
            caller.stop()
        accepted = {video_id for caller in callers for video_id in caller.accepted}
        cluster.wait_until_settled(90)

        assert [] == [error for caller in callers for error in caller.dropped]
        statuses = sum((caller.statuses for caller in callers), Counter[int]())
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


ADOPTED = "select count(*) from attempts where state = 'accepted' and unknown_at is not null"
PATIENCE = 25.0
"""Seconds until SIGKILL."""


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
