"""The worker dies at each commit of each step in turn, before and after it; the video completes all
the same, once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chaos.cluster import Cluster, worker_command

COMMITS = {"submit": 2, "poll": 2, "store": 3}
POINTS = [
    f"{step}:{number}:{moment}"
    for step, commits in COMMITS.items()
    for number in range(1, commits + 1)
    for moment in ("before", "after")
]
SOONER = {"LEASE_SECONDS": "1.5", "RECONCILE_GRACE_SECONDS": "0.6", "POLL_MIN_SECONDS": "0.2"}
"""Each death is found out by its lease: many of them need shorter ones."""

pytestmark = pytest.mark.xdist_group("mortal")


@pytest.fixture(scope="module")
def mortal() -> Iterator[tuple[Cluster, Path]]:
    """A cluster with one worker that dies on demand, and the file that demands it."""
    with TemporaryDirectory(prefix="mortal-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        wish = folder / "wish"
        cluster = Cluster(
            folder,
            workers=0,
            env={"MORTAL_FILE": str(wish), **SOONER},
            render_seconds=0.2,
        )
        with cluster:
            cluster.add("worker", *worker_command("worker", "tests.chaos.mortal"))
            yield cluster, wish


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
def test_a_video_completes_once_when_its_worker_dies_there(
    mortal: tuple[Cluster, Path], point: str
) -> None:
    """Whatever was committed is taken up; whatever was not is found out."""
    cluster, wish = mortal
    verdict, accepted = cluster.verdict, cluster.client.accepted
    wish.write_text(point)

    video_id = cluster.client.submit(f"a lighthouse, {point}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (
        wish.exists() or verdict.endings()["completed"] < len(accepted)
    ):
        cluster.revive()
        time.sleep(0.1)

    assert not wish.exists(), "the worker has not died"
    assert {"completed": len(accepted)} == dict(verdict.endings()), verdict.story()
    assert 1 == cluster.provider.creations()[video_id]
    cluster.wait_until_settled(20)
    assert [] == verdict.violations(), verdict.story()
