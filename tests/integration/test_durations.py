"""When the next look at a video comes, and how long such videos usually take."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.db import providers
from orchestrator.policies import OBSERVED_DURATIONS
from orchestrator.steps import sighting
from tests.rig import MakeRig, Rig


def test_next_look_comes_later_for_older_videos(make_rig: MakeRig) -> None:
    """First after POLL_MIN_SECONDS, then growing, at most 18 s with the jitter."""
    rig = make_rig(poll_min_seconds=2.0)
    video = rig.submitted()
    first = rig.due_in(video)
    waits = []
    for _ in range(5):
        rig.pass_time(10)
        rig.look(video)
        waits.append(round(rig.due_in(video)))

    assert 1 < first <= 2
    assert sorted(waits) == waits
    assert 14 < waits[-1] <= 18


def test_next_look_honours_the_providers_hint(rig: Rig) -> None:
    """`openai-poll-after-ms` is a lower bound."""
    video = rig.submitted()
    rig.upstream.becomes("up_1", "in_progress", poll_after=120.0)

    rig.look(video)

    assert 115 < rig.due_in(video) <= 120


def test_durations_are_learnt_from_any_of_those_that_are_done(rig: Rig) -> None:
    """The first of a look are those that took the longest: by them all others would be looked at
    too late.
    """
    old = [rig.submitted(f"old {n}") for n in range(2)]
    rig.pass_time(100)
    young = [rig.submitted(f"young {n}") for n in range(3)]
    rig.pass_time(20)
    for video in (*old, *young):
        rig.upstream.becomes(rig.upstream_id(video), "completed")

    rig.look(*old, *young)

    state = rig.state()
    assert state is not None
    assert [120, 120, 20, 20, 20] == [round(took, -1) for took in state.durations["sora-2 4"]]


def test_durations_are_learnt_from_some_where_many_are_done(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one end of them to the other, and no more than are wanted; the last are kept."""
    monkeypatch.setattr(sighting, "SAMPLES", 3)
    videos = []
    for n in range(6):
        videos.append(rig.submitted(f"kite {n}"))
        rig.pass_time(10)
    for video in videos:
        rig.upstream.becomes(rig.upstream_id(video), "completed")
    account = (rig.provider.name, rig.provider.account)
    with rig.ctx.database.transaction() as connection:
        providers.observe(connection, *account, "sora-2 4", [1.0] * (OBSERVED_DURATIONS - 1))

    rig.look(*videos)

    state = rig.state()
    assert state is not None
    learnt = [round(took, -1) for took in state.durations["sora-2 4"]]
    assert OBSERVED_DURATIONS == len(learnt)
    assert [20, 20] == [abs(a - b) for a, b in pairwise(learnt[-3:])]


def test_durations_are_learnt_from_finished_videos(rig: Rig) -> None:
    """How long such videos take is kept by model and length."""
    video = rig.submitted(seconds="8")
    rig.pass_time(42)
    rig.upstream.becomes("up_1", "completed")

    rig.look(video)

    state = rig.state()
    assert state is not None
    assert ["sora-2 8"] == list(state.durations)
    assert 42 <= state.durations["sora-2 8"][0] < 45
