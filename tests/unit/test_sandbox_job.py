"""A job's state is a function of its times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.sandbox.job import Failure, Job, State, state_of
from orchestrator.sandbox.scene import look_of


def a_job(**fields: object) -> Job:
    job = Job(
        id="video_1",
        kind="create",
        prompt="a cat",
        model="sora-2",
        seconds=4,
        size="64x64",
        quality="standard",
        look=look_of("a cat", "", (64, 64), 4),
        created_at=1000.0,
        ready_at=1010.0,
    )
    return replace(job, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (1000.0, State("queued", 0)),
        (1000.9, State("queued", 0)),
        (1001.5, State("in_progress", 15)),
        (1009.99, State("in_progress", 99)),
        (1010.0, State("completed", 100, 1010.0)),
    ],
)
def test_state_follows_the_clock_when_bytes_exist(now: float, expected: State) -> None:
    """A rendered job waits, progresses and completes at its time."""
    job = a_job(rendered_at=1002.0)

    assert expected == state_of(job, now)


def test_state_stays_in_progress_when_bytes_are_late() -> None:
    """Nothing is completed before its bytes exist."""
    job = a_job(rendered_at=None)

    assert State("in_progress", 99) == state_of(job, 5000.0)


def test_completion_is_dated_by_the_renderer_when_that_was_later() -> None:
    """A slow renderer moves the completion, not the creation."""
    job = a_job(rendered_at=1030.0)

    assert State("completed", 100, 1030.0) == state_of(job, 1030.0)


def test_job_fails_at_its_time_when_it_is_fated_to() -> None:
    """A fated job looks healthy until its time has come."""
    job = a_job(failure=Failure("moderation_blocked", "no", 400))

    assert State("in_progress", 50) == state_of(job, 1005.0)
    assert State("failed", 0) == state_of(job, 1010.0)


def test_stuck_job_never_ends_when_its_time_has_passed() -> None:
    """A stuck job stays in progress for good."""
    job = a_job(stuck=True, rendered_at=1001.0)

    assert state_of(job, 999_999.0).open


def test_job_completes_at_once_when_it_takes_no_time() -> None:
    """A span of zero seconds has no queued part."""
    job = a_job(ready_at=1000.0, rendered_at=1000.0)

    assert State("completed", 100, 1000.0) == state_of(job, 1000.0)
