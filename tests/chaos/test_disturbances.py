"""Random disturbances of everything at once; afterwards every promise must hold."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.catalog import PROFILES
from tests.answering_server import Answer, AnsweringServer, answering_server
from tests.chaos.background import Background
from tests.chaos.cluster import Cluster
from tests.chaos.conftest import REPORTED
from tests.chaos.mischief import WORKER_PAUSE, Mischief

# Which server the provider is, by the seed: one with a bare list that shows little; ours; one
# without a list; one that takes two jobs at a time, and to whose list all videos look alike.
SERVERS = (("sglang", 1.2), ("sandbox", 0.5), ("litellm", 0.5), ("azure", 1.2))
"""(profile, seconds between two videos), for seed % 4 = 0, 1, 2, 3."""
DECIDE_AFTER = WORKER_PAUSE + 6
"""Seconds after which an operator believes what the provider shows."""
PROVOKE_SECONDS = 60.0
LOOK_SECONDS = 2.0
"""Between two checks while everything is under way."""
DAY_PASSES = """
update attempts set unknown_at = unknown_at - interval '1 day', due_at = now()
where state = 'unknown' and detached"""
"""How long we wait for news of what was cancelled, where there is no list."""


@pytest.mark.timeout(400)
def test_everything_accepted_ends_once_whatever_happens(
    folder: Path,
    seed: int,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """Killed processes, a wiped broker, a restarted database and a lying provider lose and double
    nothing.
    """
    dice = random.Random(seed)
    profile, pace = SERVERS[seed % len(SERVERS)]
    with (
        answering_server() as receiver,
        Cluster(folder, workers=2, schedulers=2, profile=profile) as cluster,
        Background(lambda: cluster.client.decide(cluster.provider, after=DECIDE_AFTER), 1.0),
    ):
        receiver.answer("POST /hook", Answer())
        cluster.client.webhook_url = f"{receiver.url}/hook"
        mischief = Mischief(cluster, dice, profile)
        with (
            Background(lambda: _ask(cluster, dice), pace),
            Background(cluster.verdict.look, LOOK_SECONDS),
        ):
            for _ in range(pytestconfig.getoption("--chaos-actions")):
                mischief.strike()
                cluster.revive()
                time.sleep(dice.uniform(0.2, 1.0))
        _provoke(cluster, mischief)
        cluster.provider.faults("")
        endings = cluster.wait_until_settled(150, lambda: _no_news(cluster, profile))
        record_property(REPORTED, f"profile {profile}: {dict(endings)}\n{mischief.report()}")

        _check(cluster, profile, endings, receiver)


def _ask(cluster: Cluster, dice: random.Random) -> None:
    client = cluster.client
    number = len(client.accepted)
    # Some prompts repeat: look-alikes are the hard case of reconciliation.
    video_id = client.submit(f"a kite, take {number % 7}", user=f"user{number % 3}")
    if dice.random() < 0.1:
        client.cancel(video_id)


def _provoke(cluster: Cluster, mischief: Mischief) -> None:
    """What has not struck by itself gets its chance, for a while."""
    deadline = time.monotonic() + PROVOKE_SECONDS
    while (missing := mischief.missing()) and time.monotonic() < deadline:
        if any(fault.startswith("list.") for fault in missing):
            # Only an unknown outcome makes us read the list for certain.
            missing.append("create.accept_then_cut@1")
        cluster.provider.faults(",".join(missing))
        for number in range(3):
            cluster.client.submit(f"a provoked kite {number}")
        for _ in range(8):
            time.sleep(0.5)
            if any(fault.startswith("delete.") for fault in mischief.missing()):
                _cancel_one(cluster)


def _cancel_one(cluster: Cluster) -> None:
    """Only what the provider is at work on is deleted there."""
    running = cluster.verdict.rows("select id from videos where step = 'poll' limit 1")
    for (video_id,) in running:
        cluster.client.cancel(video_id)


def _no_news(cluster: Cluster, profile: str) -> None:
    if PROFILES[profile].list == "none":
        cluster.verdict.rows(DAY_PASSES)


def _check(
    cluster: Cluster, profile: str, endings: Counter[str], receiver: AnsweringServer
) -> None:
    verdict, accepted = cluster.verdict, cluster.client.accepted
    assert [] == verdict.seen
    assert [] == verdict.violations(), verdict.story()
    assert set(endings) <= {"completed", "cancelled"}, (endings, verdict.story())
    assert [] == verdict.sent_twice()
    assert [] == verdict.paid_twice()
    assert [] == verdict.mixed_up()
    if PROFILES[profile].list == "none":
        twice = {name: times for name, times in cluster.provider.creations().items() if times > 1}
        assert {} == twice, verdict.story(twice)
    else:
        assert [] == verdict.unaccounted()
    told = {asked.headers["webhook-id"] for asked in receiver.asked}
    assert verdict.delivered() == told
    assert len(accepted) == len(told)
