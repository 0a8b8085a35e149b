"""From the request to the completed video, with a provider that does nothing: what durability costs
from one end to the other, here and elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench import peers
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stack import running
from bench.stage import Stage
from bench.submit import request

CONCURRENT = 16
NOOP = "orchestrator, no-op provider in process"
HTTP = "orchestrator, fast provider over HTTP"


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    number = 3000 if scale.full else 300
    yield [
        Contestant(NOOP, partial(_run, stage, scale, number, "bench.noop")),
        Contestant(HTTP, partial(_run, stage, scale, number, "workers.app")),
        *(peers.contestants(stage, number, CONCURRENT) if scale.full else ()),
    ]


def _run(stage: Stage, scale: Scale, number: int, app: str) -> Metrics:
    with running(stage, scale, app=app, queues=[""] * scale.processes) as stack:
        stage.settle()
        began = time.time()
        requests = [request(user) for user in stack.users]
        seen = stage.generator.run(stack.web.port, requests, connections=CONCURRENT, limit=number)
        stack.wait_for(number)
        last = "select extract(epoch from max(completed_at)) from videos where user_id like %s"
        ((ended,),) = stage.query(stack.database_url, last, ("user-%",))
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
