"""The record of the jobs that were accepted.

Jobs that a client can no longer see (deleted, forgotten) stay in it, because the record is what
tells how often something was accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from orchestrator.sandbox.job import Job, state_of
from orchestrator.sandbox.journal import Journal


class Jobs:
    """All jobs in the order of their acceptance. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float], journal: Journal | None, *, forgets: bool):
        self._clock, self._journal = clock, journal
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._order: list[str] = []
        self._positions: dict[str, int] = {}
        self._by_key: dict[str, str] = {}
        self._open: set[str] = set()
        for job in journal.read() if journal else ():
            self._remember(job)
        if forgets:
            self.forget()

    def add(self, job: Job) -> None:
        """Record an accepted job."""
        with self._lock:
            self._remember(job)
            self._write([job])

    def change(self, job_id: str, **fields: object) -> Job:
        """Set some fields; returns the job as it is then. Raises KeyError for an unknown id."""
        with self._lock:
            job = replace(self._jobs[job_id], **fields)  # type: ignore[arg-type]
            self._jobs[job_id] = job
            self._write([job])
            return job

    def find(self, job_id: str) -> Job | None:
        """The job, if clients can see it."""
        job = self._jobs.get(job_id)
        return None if job is None or job.gone else job

    def known(self, job_id: str) -> Job | None:
        """The job, even if clients do not see it any longer."""
        return self._jobs.get(job_id)

    def by_key(self, idempotency_key: str) -> Job | None:
        """The first job that was accepted with that Idempotency-Key and is not forgotten."""
        return self._jobs.get(self._by_key.get(idempotency_key, ""))

    def page(
        self, *, after: str | None, limit: int | None, newest_first: bool, younger_hidden: float = 0
    ) -> tuple[Sequence[Job], bool]:
        """Visible jobs behind `after`, and whether there are more. Raises KeyError for its id.

        `younger_hidden` hides jobs of fewer seconds; `limit` None means all.
        """
        with self._lock:
            found: list[Job] = []
            newest = self._clock() - younger_hidden
            for job in self._walk(after, newest_first):
                if job.gone or (younger_hidden and job.created_at > newest):
                    continue
                if limit is not None and len(found) >= limit:
                    return found, True
                found.append(job)
            return found, False

    def everything(self) -> list[Job]:
        """All jobs ever accepted, oldest first."""
        with self._lock:
            return [self._jobs[job_id] for job_id in self._order]

    def running(self) -> int:
        """How many jobs still work, seen or unseen."""
        now = self._clock()
        with self._lock:
            ended = {
                job_id
                for job_id in self._open
                if self._jobs[job_id].stopped or not state_of(self._jobs[job_id], now).open
            }
            self._open -= ended
            return len(self._open)

    def forget(self) -> int:
        """Lose every job, as a server that keeps them in memory does when it restarts."""
        with self._lock:
            lost = [
                replace(job, gone="forgotten", stopped=True)
                for job in self._jobs.values()
                if not job.gone
            ]
            self._jobs.update((job.id, job) for job in lost)
            self._by_key.clear()
            self._write(lost)
            return len(lost)

    def guard(self) -> threading.RLock:
        """Held while something is looked up and then added as one step."""
        return self._lock

    def _remember(self, job: Job) -> None:
        self._jobs[job.id] = job
        self._positions[job.id] = len(self._order)
        self._order.append(job.id)
        if not job.stopped:
            self._open.add(job.id)
        if job.idempotency_key and job.gone != "forgotten":
            self._by_key.setdefault(job.idempotency_key, job.id)

    def _walk(self, after: str | None, newest_first: bool) -> Iterator[Job]:
        step = -1 if newest_first else 1
        position = len(self._order) - 1 if newest_first else 0
        if after is not None:
            position = self._positions[after] + step
        while 0 <= position < len(self._order):
            yield self._jobs[self._order[position]]
            position += step

    def _write(self, jobs: Sequence[Job]) -> None:
        if self._journal:
            self._journal.write(jobs)
