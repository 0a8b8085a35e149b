"""What a process does between SIGTERM and its end, when the platform's patience is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

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


ADOPTED = "select count(*) from attempts where state = 'accepted' and unknown_at is not null"
PATIENCE = 25.0
"""Seconds until SIGKILL."""


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
