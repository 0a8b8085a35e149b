"""Submitting many videos in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench import limits
from bench.load.generator import SERIAL, Request
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol

CONNECTIONS = 4
THOUSAND = "orchestrator, 1000 a request"
HUNDRED = "orchestrator, 100 a request"
LIMIT = "pgbench, 1000 rows a statement, 4 clients"
_USERS = 20


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    url = stage.database("batches")
    users = enrol(url, _USERS)
    rows = limits.contestant(stage, scale.seconds, LIMIT, "rows.sql", 4, _USERS, each=1000)
    with stage.web(url, processes=scale.processes) as web:
        yield [
            rows,
            Contestant(THOUSAND, partial(_run, stage, web, users, 1000, scale)),
            Contestant(HUNDRED, partial(_run, stage, web, users, 100, scale)),
        ]


def _run(stage: Stage, web: Web, users: Sequence[User], size: int, scale: Scale) -> Metrics:
    stage.settle()
    requests = [_request(user, size) for user in users]
    seen = stage.generator.run(
        web.port, requests, connections=CONNECTIONS, seconds=scale.seconds, warmup=scale.warmup
    )
    return {**seen.metrics(), "per_second": seen.per_second * size}


def _request(user: User, size: int) -> Request:
    videos = [
        {"prompt": f"A paper boat passes lantern {n}", "seconds": "4", "size": "720x1280"}
        for n in range(size)
    ]
    headers = {
        **user.headers,
        "Content-Type": "application/json",
        "Idempotency-Key": f"bench-{SERIAL}",
    }
    body = json.dumps({"videos": videos}).encode()
    return Request("POST", "/api/videos/batch", headers, body)


MEASUREMENT = Measurement(
    "batch",
    "Submitting in batches",
    _contestants,
    (
        Goal(
            "Videos a second, 1000 a request",
            THOUSAND,
            "per_second",
            "at least",
            50_000,
            paced=True,
        ),
    ),
)
