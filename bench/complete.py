"""From the request to the completed video, with a provider that does nothing: what durability costs
from one end to the other, here and elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench import limits, peers
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stack import running, wait_for
from bench.stage import Stage, Web
from bench.submit import request
from bench.users import User, enrol

CONCURRENT = 16
NOOP = "orchestrator, no-op provider in process"
NAIVE = "Flask + ORM + Celery, acknowledged late"
HTTP = "orchestrator, fast provider over HTTP"


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    number = 3000 if scale.full else 300
    yield [
        Contestant(NOOP, partial(_run, stage, scale, number, "bench.noop")),
        Contestant(HTTP, partial(_run, stage, scale, number, "workers.app")),
        Contestant(NAIVE, partial(_run_naive, stage, scale, number)),
        *(peers.contestants(stage, number, CONCURRENT) if scale.full else ()),
    ]


def _run(stage: Stage, scale: Scale, number: int, app: str) -> Metrics:
    with running(stage, scale, app=app, queues=[""] * scale.processes) as stack:
        return _finish(stage, stack.database_url, stack.web, stack.users, number)


def _run_naive(stage: Stage, scale: Scale, number: int) -> Metrics:
    """The baseline with a worker of as many processes as there are of its web server."""
    url = stage.database("naive")
    users = enrol(url, limits.USERS)
    with (
        stage.web(url, processes=scale.processes, module="bench.naive") as web,
        stage.worker(
            stage.environment(url),
            app="bench.naive.worker",
            pool="prefork",
            concurrency=scale.processes,
        ),
    ):
        return _finish(stage, url, web, users, number)


def _finish(
    stage: Stage, database_url: str, web: Web, users: Sequence[User], number: int
) -> Metrics:
    """Ask for so many videos, and wait until the last one is completed."""
    stage.settle()
    began = time.time()
    requests = [request(user) for user in users]
    seen = stage.generator.run(web.port, requests, connections=CONCURRENT, limit=number)
    wait_for(stage, database_url, number)
    last = "select extract(epoch from max(completed_at)) from videos where user_id like %s"
    ((ended,),) = stage.query(database_url, last, ("user-%",))
    return {
        "per_second": number / (float(ended) - began),
        "accept_p99_ms": seen.p99_ms,
        "errors": seen.errors,
    }


MEASUREMENT = Measurement(
    "complete",
    "Accept and complete, 16 at once",
    _contestants,
    (
        Goal("Completions, of pgqueuer", NOOP, "per_second", "at least", 2, peers.PGQUEUER),
        Goal("Completions, of Restate", NOOP, "per_second", "at least", 5, peers.RESTATE),
        Goal("Completions, of DBOS", NOOP, "per_second", "at least", 10, peers.DBOS),
    ),
)
