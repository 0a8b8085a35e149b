"""Random disturbances of everything at once; afterwards every promise must hold."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster

VIDEOS = 40
FAULTS = (
    "create.accept_then_cut=0.3",
    "create.500_after_accept=0.3",
    "create.html_after_accept=0.3,get.html=0.2",
    "create.no_id=0.3",
    "create.429=0.5",
    "create.503=0.3,get.429=0.2",
    "create.hang:4=0.2",
    "create.502=0.2,list.500=0.3",
    "get.404=0.2,get.cut=0.1",
    "get.500=0.3,content.truncated=0.3",
    "content.wrong=0.3,content.404=0.2,content.html=0.2",
    "content.cut=0.3,get.unknown_status=0.2",
)


def _actions(cluster: Cluster, dice: random.Random) -> list[Callable[[], None]]:
    workers = [name for name in cluster.programs if name.startswith("worker")]
    schedulers = [name for name in cluster.programs if name.startswith("scheduler")]
    return [
        lambda: cluster.kill(dice.choice(workers)),
        lambda: cluster.kill(dice.choice(workers)),
        lambda: cluster.restart(dice.choice(workers)),
        lambda: cluster.kill(dice.choice(schedulers)),
        lambda: cluster.kill("web"),
        lambda: cluster.restart("web"),
        cluster.kill_valkey,
        cluster.wipe_valkey,
        lambda: cluster.pause_valkey(2.0),
        cluster.restart_postgres,
        cluster.drop_connections,
        *[lambda text=text: cluster.faults(text) for text in FAULTS],
    ]


@pytest.mark.timeout(400)
def test_everything_accepted_ends_once_whatever_happens(
    folder: Path, seed: int, pytestconfig: pytest.Config
) -> None:
    """Killed processes, a wiped broker, a restarted database and a lying provider lose and double
    nothing.
    """
    dice = random.Random(seed)
    with Cluster(folder, workers=2, schedulers=2) as cluster:
        client = threading.Thread(target=_ask_for_videos, args=(cluster, random.Random(seed)))
        client.start()
        for _ in range(pytestconfig.getoption("--chaos-actions")):
            dice.choice(_actions(cluster, dice))()
            cluster.revive()
            time.sleep(dice.uniform(0.3, 1.5))
        client.join()
        cluster.faults("")
        endings = cluster.wait_until_settled(150)

        assert [] == cluster.violations(), cluster.story()
        assert VIDEOS == len(cluster.accepted)
        assert set(endings) <= {"completed", "cancelled"}, (endings, cluster.story())
        assert [] == cluster.paid_twice()
        assert [] == cluster.unaccounted()


def _ask_for_videos(cluster: Cluster, dice: random.Random) -> None:
    for number in range(VIDEOS):
        # Some prompts repeat: look-alikes are the hard case of reconciliation.
        video_id = cluster.submit(f"a kite, take {number % 7}", user=f"user{number % 3}")
        if dice.random() < 0.1:
            cluster.cancel(video_id)
        time.sleep(dice.uniform(0.0, 0.4))
