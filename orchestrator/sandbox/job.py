"""One accepted job, and what it is at a given moment.

A job stores times, never a status: `state_of` works it out from those and `now`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.sandbox.scene import Look

Kind = Literal["create", "remix", "edit", "extension"]
Status = Literal["queued", "in_progress", "completed", "failed"]
# The part of the time that a job seems to wait before anything happens to it.
QUEUED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job will fail; `http_status` is what servers use that report it as an HTTP error."""

    code: str
    message: str
    http_status: int = 500


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted video. Times are unix seconds; `ready_at` is when it ends at the earliest.

    `gone` says why clients do not see it (empty: they do); `stopped` that it does no more work.
    """

    id: str
    kind: Kind
    prompt: str
    model: str
    seconds: int
    size: str
    quality: str
    look: Look
    created_at: float
    ready_at: float
    failure: Failure | None = None
    stuck: bool = False
    rendered_at: float | None = None
    source: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    gone: Literal["", "deleted", "forgotten"] = ""
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What a job is at one moment; `progress` in percent, 100 exactly when completed."""

    status: Status
    progress: int
    completed_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether it still has an end before it."""
        return self.status in {"queued", "in_progress"}


def state_of(job: Job, now: float) -> State:
    """The job at `now`: completed once its time has come and its bytes exist."""
    span = job.ready_at - job.created_at
    if now >= job.ready_at and not job.stuck:
        if job.failure is not None:
            return State("failed", 0)
        if job.rendered_at is not None and now >= job.rendered_at:
            return State("completed", 100, max(job.ready_at, job.rendered_at))
    passed = 1.0 if span <= 0 else (now - job.created_at) / span
    if passed < QUEUED_SHARE:
        return State("queued", 0)
    return State("in_progress", max(1, min(99, int(100 * passed))))
