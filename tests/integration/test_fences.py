"""Whoever has lost its lease while it made a call writes nothing to the video.

Only what the provider said of an attempt is written whenever it comes: that is a fact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import ProviderTransient
from orchestrator.records import Video
from orchestrator.steps import submit
from tests.rig import Rig


class Takeover:
    """An answer of the provider; while it is on its way, somebody else takes the step over."""

    def __init__(self, rig: Rig, video: Video, answer: Callable[..., Any]) -> None:
        self._rig = rig
        self._video = video
        self._answer = answer
        self._taken: Video | None = None

    def __call__(self, *args: Any) -> Any:
        self._rig.sql(
            "update videos set lease_token = 'another', lease_until = now() + interval '1 minute' "
            "where id = :id",
            id=self._video.id,
        )
        self._taken = self._rig.video(self._video)
        return self._answer(*args)

    @property
    def undisturbed(self) -> bool:
        """Whether the video is as it was when it was taken over."""
        assert self._taken is not None, "the provider was not asked"
        return self._taken == self._rig.video(self._video)


def fails(*_: object) -> None:
    """The provider's fault, for now."""
    raise ProviderTransient("500")


def test_acceptance_detaches_its_attempt_when_the_lease_is_lost(rig: Rig) -> None:
    """Whoever took over may send another one: this one is watched for what it costs."""
    video = rig.want()
    taken = Takeover(rig, video, rig.upstream.accept)
    rig.upstream.script("create", taken)

    submit.submit(rig.ctx, video.id)

    (attempt,) = rig.attempts(video)
    assert taken.undisturbed
    assert ("accepted", True) == (attempt.state, attempt.detached)


def test_acceptance_is_written_for_the_others_when_one_has_lost_its_lease(rig: Rig) -> None:
    """A lot is no way around the lease, and the neighbours go straight on."""
    lost, *others = [rig.want(f"kite {n}") for n in range(4)]
    taken = Takeover(rig, lost, rig.upstream.accept)

    def answer(request: Any) -> Any:
        return (taken if request.prompt == lost.prompt else rig.upstream.accept)(request)

    rig.upstream.script("create", *[answer] * 4)

    submit.submit(rig.ctx, lost.id, *(video.id for video in others))

    assert taken.undisturbed
    assert [True, False, False, False] == [
        attempt.detached for video in (lost, *others) for attempt in rig.attempts(video)
    ]
    assert ["in_progress"] * 3 == [rig.video(video).status for video in others]


@pytest.mark.parametrize("status", ["in_progress", "completed", "failed"])
def test_look_says_nothing_when_the_lease_is_lost(rig: Rig, status: str) -> None:
    """Neither that it goes on nor that it is over: whoever took over looks again."""
    video = rig.submitted()
    rig.upstream.becomes(rig.upstream_id(video), status, progress=50)
    taken = Takeover(rig, video, rig.upstream.videos.__getitem__)
    rig.upstream.script("retrieve", taken)

    rig.look(video)

    assert taken.undisturbed
    assert [None] == [attempt.ended_at for attempt in rig.attempts(video)]


def test_late_video_is_not_given_up_when_the_lease_is_lost(rig: Rig) -> None:
    """Its deadline is past, but of the look that found it at work nothing is written."""
    video = rig.submitted()
    rig.sql(
        "update videos set deadline_at = now() - interval '1 minute', "
        "last_polled_at = now() - interval '1 hour'"
    )
    rig.upstream.becomes(rig.upstream_id(video), "in_progress")
    taken = Takeover(rig, video, rig.upstream.videos.__getitem__)
    rig.upstream.script("retrieve", taken)

    rig.look(video)

    assert taken.undisturbed


def test_bad_look_puts_nothing_off_when_the_lease_is_lost(rig: Rig) -> None:
    """It would let go of a lease that is another one's."""
    video = rig.submitted()
    taken = Takeover(rig, video, fails)
    rig.upstream.script("retrieve", taken)

    rig.look(video)

    assert taken.undisturbed


@pytest.mark.parametrize("works", [True, False])
def test_copy_says_nothing_when_the_lease_is_lost(rig: Rig, works: bool) -> None:
    """Of two copies of one video the row names one, and no failure puts off another's work."""
    video = rig.generated()
    movie = [rig.upstream.contents["video"]]
    taken = Takeover(rig, video, (lambda _: movie) if works else fails)
    rig.upstream.script("download video", taken)

    rig.store(video)

    assert taken.undisturbed
