"""The sandbox's books: what it was asked and what it accepted, for those who check a client."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields
from typing import Any

from orchestrator.sandbox.job import Job
from orchestrator.sandbox.sandbox import Sandbox

REPORTED_FIELDS = [
    field.name for field in fields(Job) if field.name not in {"look", "failure", "fingerprint"}
]


def report(sandbox: Sandbox, newest: int | None = None) -> dict[str, Any]:
    """Everything that an observer wants to know, JSON-ready.

    Counts are of all jobs ever accepted; `newest` limits how many are described (the last ones).
    """
    jobs = sandbox.jobs.everything()
    by_key: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.idempotency_key:
            by_key[job.idempotency_key].append(job.id)
    return {
        "dialect": sandbox.dialect.name,
        "requests": sandbox.requests(),
        "accepted": {"total": len(jobs), **Counter(job.kind for job in jobs)},
        "running": sandbox.jobs.running(),
        "faults": {"text": sandbox.faults.text, "fired": sandbox.faults.fired()},
        "duplicates": [
            {"idempotency_key": key, "accepted_count": len(ids), "ids": ids}
            for key, ids in by_key.items()
            if len(ids) > 1
        ],
        "jobs": [
            _described(job, sandbox, len(by_key.get(job.idempotency_key or "", [job.id])))
            for job in jobs[-newest if newest else 0 :]
        ],
    }


def _described(job: Job, sandbox: Sandbox, accepted_count: int) -> dict[str, Any]:
    state = sandbox.state(job)
    return {
        **{name: getattr(job, name) for name in REPORTED_FIELDS},
        "public_id": sandbox.shown_id(job),
        "status": state.status,
        "progress": state.progress,
        "completed_at": state.completed_at,
        "accepted_count": accepted_count,
    }
