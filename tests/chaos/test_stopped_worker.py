"""A worker stands still in the middle of a call, for longer than its lease, and then goes on as if
nothing had been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.chaos.cluster import Cluster, worker_command

PATIENCE = 60.0


@contextmanager
def stopped(cluster: Cluster, name: str) -> Iterator[None]:
    """SIGSTOP to this program, and SIGCONT in the end."""
    (process,) = (
        child
        for child in psutil.Process().children()
        if tuple(child.cmdline()) == cluster.programs[name].argv
    )
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def until(happens: Callable[[], bool], cluster: Cluster) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline, (
            cluster.verdict.story(),
            {name: program.last_words() for name, program in cluster.programs.items()},
        )
        time.sleep(0.05)


@pytest.mark.timeout(240)
def test_call_that_succeeds_after_its_lease_is_paid_once(folder: Path) -> None:
    """The provider has taken the video when its worker is stopped; another one finds it. The late
    answer, once it is heard, changes nothing; nor does it bring a video back that was cancelled
    meanwhile.
    """
    with Cluster(folder, workers=0, render_seconds=0.5) as cluster:
        cluster.add("first", *worker_command("first"))
        for cancelled in (False, True):
            calls = len(cluster.provider.jobs())
            cluster.provider.faults("create.hang:2@1")
            video_id = cluster.client.submit(f"a lighthouse, cancelled: {cancelled}")
            until(lambda: len(cluster.provider.jobs()) > calls, cluster)  # noqa: B023

            with stopped(cluster, "first"):
                if cancelled:
                    cluster.client.cancel(video_id)
                name = f"second-{cancelled}"
                cluster.add(name, *worker_command(name))
                cluster.wait_until_settled(PATIENCE)
                cluster.programs[name].stop()

            # Whatever the first one still has in its hands, it has put down by the next video.
            cluster.client.submit("one more")
            cluster.wait_until_settled(PATIENCE)
            assert 1 == cluster.provider.creations()[video_id], cluster.verdict.story()
            assert [] == cluster.verdict.violations(), cluster.verdict.story()

        assert {"completed": 3, "cancelled": 1} == dict(cluster.verdict.endings())
        assert [] == cluster.verdict.unaccounted()
        assert [] == cluster.verdict.paid_twice()
