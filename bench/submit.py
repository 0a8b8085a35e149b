"""Submitting over HTTP: from the request to the answer that promises the video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from bench import limits
from bench.broom import sweeping
from bench.load.generator import SERIAL, Request
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol

CONNECTIONS = 64
OURS = "orchestrator, 64 connections"
ONE = "orchestrator, 1 connection"
HOT = "orchestrator, one user, 64 connections"
BACKLOG = "orchestrator, into a backlog"
NAIVE = "Flask + ORM + delay()"
_RATE = "per_second"


def request(user: User) -> Request:
    """One submission, new each time it is sent."""
    body = {
        "prompt": "A paper boat sails down a rainy street, past reflections of neon signs",
        "model": "sora-2",
        "seconds": "4",
        "size": "720x1280",
        "metadata": {"shot": "12"},
    }
    headers = {
        **user.headers,
        "Content-Type": "application/json",
        "Idempotency-Key": f"bench-{SERIAL}",
    }
    return Request("POST", "/api/videos", headers, json.dumps(body).encode())


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    ours_url, naive_url = stage.database("submits"), stage.database("naive")
    ours, naive = enrol(ours_url, limits.USERS), enrol(naive_url, limits.USERS)
    with (
        stage.web(ours_url, processes=scale.processes) as web,
        stage.web(naive_url, processes=scale.processes, module="bench.naive") as simple,
    ):
        run = partial(_run, stage, scale, ours_url, web)
        yield [
            *limits.contestants(stage, scale.seconds),
            Contestant(OURS, partial(run, ours, CONNECTIONS)),
            Contestant(ONE, partial(run, ours, 1)),
            Contestant(HOT, partial(run, ours[:1], CONNECTIONS)),
            Contestant(BACKLOG, partial(run, ours, CONNECTIONS, swept=False)),
            Contestant(
                NAIVE,
                partial(_run, stage, scale, naive_url, simple, naive, CONNECTIONS, swept=False),
            ),
        ]


def _run(
    stage: Stage,
    scale: Scale,
    database_url: str,
    web: Web,
    users: Sequence[User],
    connections: int,
    *,
    swept: bool = True,
) -> Metrics:
    stage.settle()
    with sweeping(database_url, stage.redis_url) if swept else nullcontext():
        cpu = web.child.cpu_seconds()
        seen = stage.generator.run(
            web.port,
            [request(user) for user in users],
            connections=connections,
            seconds=scale.seconds,
            warmup=scale.warmup,
            limit=scale.limit,
        )
        cpu = web.child.cpu_seconds() - cpu
    share = scale.seconds / (scale.seconds + scale.warmup)
    return {**seen.metrics(), "cpu_ms": cpu * share * 1e3 / max(seen.answers, 1)}


MEASUREMENT = Measurement(
    "submit",
    "Submitting over HTTP",
    _contestants,
    (
        Goal("Submits, of pgbench's five trips", OURS, _RATE, "at least", 0.8, limits.TXN),
        Goal("p99 of a submit, 64 connections (ms)", OURS, "p99_ms", "at most", 30, paced=True),
        Goal("p99 of a submit, 1 connection (ms)", ONE, "p99_ms", "at most", 5, paced=True),
        Goal("Submits of one user, of pgbench's best", HOT, _RATE, "at least", 2, limits.CTE_HOT),
        Goal("Submits, of the naive baseline", OURS, _RATE, "at least", 10, NAIVE),
    ),
)
