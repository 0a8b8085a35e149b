"""Providers that lose or hide what they have taken: there a video may be made more than once, and
the provider's own books say exactly how often that may be.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.provider import video_of

LATER = "update attempts set due_at = now() where state = 'abandoned'"
"""What was given up is looked for again, now."""
UNKNOWN = "select 1 from attempts where state = 'unknown'"
RENDER = 5.0
"""Seconds: whatever is accepted is still at work when the provider forgets it."""

pytestmark = pytest.mark.xdist_group("forgetful")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for all: what each test counts are its own videos."""
    with TemporaryDirectory(prefix="forgetful-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        env = {"MISSING_GRACE_SECONDS": "3"}
        with Cluster(folder, workers=1, render_seconds=RENDER, env=env) as running:
            yield running


@pytest.mark.timeout(120)
def test_nothing_is_doubled_when_a_list_lags_less_than_the_looks_take(cluster: Cluster) -> None:
    """What shows up late, but before the second look, is adopted: one creation for each video."""
    cluster.provider.faults("create.accept_then_cut@2,create.no_id@2,list.lag:2.5")

    asked = _ask(cluster, "belated", 6)
    cluster.wait_until_settled(60)

    assert {"completed": 6} == _endings(cluster, asked)
    assert {(0, 1): 6} == Counter(_made(cluster, asked))
    assert {1: 6} == Counter(_attempts(cluster, asked).values())
    _check(cluster)


@pytest.mark.timeout(120)
def test_what_a_list_hides_is_made_again_and_found_out_when_it_turns_up(cluster: Cluster) -> None:
    """A list omits new videos at both looks: they are sent again. When they turn up, each is known
    by its attempt, counted as a duplicate, and watched to its end.
    """
    cluster.provider.faults("create.accept_then_cut@2,create.no_id@2,list.empty")
    asked = _ask(cluster, "hidden", 7)
    _until(lambda: {"completed": 7} == _endings(cluster, asked))

    cluster.provider.faults("")
    cluster.verdict.rows(LATER)
    _until(lambda: [(4,)] == cluster.verdict.rows("select duplicates from providers"))
    cluster.wait_until_settled(60)

    attempts = _attempts(cluster, asked)
    assert {1: 3, 2: 4} == Counter(attempts.values())
    assert attempts == {video: made for video, (_, made) in _epochs(cluster, asked).items()}
    assert [] == cluster.verdict.unaccounted()
    _check(cluster)


@pytest.mark.timeout(120)
def test_only_what_was_unknown_is_made_again_when_a_provider_forgets(cluster: Cluster) -> None:
    """A restart without a memory: what was accepted fails as `lost` and is not sent again, what was
    of unknown outcome is; nothing else is made twice.
    """
    early = _ask(cluster, "early", 5)
    _until(lambda: {"in_progress": 5} == _endings(cluster, early))
    cluster.provider.faults("create.accept_then_cut@3,create.500_after_accept@2,list.500")
    unknown = _ask(cluster, "later", 5)
    _until(lambda: 5 == len(cluster.verdict.rows(UNKNOWN)))

    cluster.forget()
    cluster.provider.faults("")
    late = _ask(cluster, "late", 3)
    cluster.wait_until_settled(60)

    assert {"failed:lost": 5} == _endings(cluster, early)
    assert {"completed": 8} == _endings(cluster, unknown | late)
    assert {(1, 0): 5} == Counter(_made(cluster, early))
    assert {(1, 1): 5} == Counter(_made(cluster, unknown))
    assert {(0, 1): 3} == Counter(_made(cluster, late))
    _check(cluster)


def _ask(cluster: Cluster, kind: str, number: int) -> set[str]:
    return {cluster.client.submit(f"a {kind} kite, take {n}") for n in range(number)}


def _endings(cluster: Cluster, asked: set[str]) -> dict[str, int]:
    return dict(cluster.verdict.endings(asked))


def _attempts(cluster: Cluster, asked: set[str]) -> dict[str, int]:
    """How often each video was sent."""
    sent = cluster.verdict.rows("select video_id, count(*) from attempts group by 1")
    return {video: times for video, times in sent if video in asked}


def _check(cluster: Cluster) -> None:
    verdict = cluster.verdict
    assert [] == verdict.violations(), verdict.story()
    assert [] == verdict.sent_twice()
    assert [] == verdict.mixed_up()


def _epochs(cluster: Cluster, asked: set[str]) -> dict[str, tuple[int, int]]:
    """How often each video was made before the provider forgot, and how often since, by its own
    books.
    """
    counts = {video: [0, 0] for video in asked}
    for job in cluster.provider.jobs():
        if video_of(job) in asked:
            counts[video_of(job)][job["gone"] != "forgotten"] += 1
    return {video: (before, since) for video, (before, since) in counts.items()}


def _made(cluster: Cluster, asked: set[str]) -> list[tuple[int, int]]:
    return list(_epochs(cluster, asked).values())


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
