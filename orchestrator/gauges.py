"""Numbers that are how they are: what the rows in PostgreSQL, the broker and the processes say."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from orchestrator import __version__, pauses
from orchestrator.context import Context
from orchestrator.db import gauges as rows
from orchestrator.db import health, traffic
from orchestrator.errors import OrchestratorError
from orchestrator.tallies import Totals


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number; one that only grows ends in `_total`. `help` is one sentence."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    """One value, with the values of its labels."""

    gauge: Gauge
    labels: tuple[str, ...]
    value: float


INFO = Gauge("orchestrator_info", "Which version answers; always 1.", ("version",))
DATABASE = Gauge("orchestrator_database_up", "1 while PostgreSQL answers.")
REDIS = Gauge("orchestrator_redis_up", "1 while Redis answers; without it counters are missing.")
PROCESSES = Gauge("orchestrator_processes", "Processes that live.", ("process",))
STREAMS = Gauge("orchestrator_streams", "Event streams that are open.")
VIDEOS = Gauge(
    "orchestrator_videos",
    "Videos that are not finished: `queued`, `scheduled`, `held` or `in_progress`.",
    ("state",),
)
QUEUE_AGE = Gauge(
    "orchestrator_queue_age_seconds", "For how long the oldest queued video has been waiting."
)
OVERDUE = Gauge(
    "orchestrator_overdue_seconds",
    "For how long the oldest due step has been due; it grows while workers do not work.",
)
HELD = Gauge("orchestrator_held_videos", "Videos that wait for an operator.", ("reason",))
ATTEMPTS = Gauge(
    "orchestrator_open_attempts",
    "Submissions that hold a slot: `sent`, `accepted`, or `unknown`.",
    ("provider", "state"),
)
ADMITTED = Gauge(
    "orchestrator_admitted_videos",
    "Videos that have a slot and are not submitted yet, up to 10,000.",
    ("provider",),
)
CAP = Gauge("orchestrator_provider_cap", "Slots of a provider that has a cap.", ("provider",))
PAUSED = Gauge("orchestrator_provider_paused", "1 while nothing is submitted there.", ("provider",))
UNCLAIMED = Gauge(
    "orchestrator_unclaimed_videos_total",
    "Videos in the list of a provider that nobody here asked for.",
    ("provider",),
)
DUPLICATES = Gauge(
    "orchestrator_duplicates_total",
    "Late successes of attempts whose video had moved on: paid for nothing.",
    ("provider",),
)
PENDING = Gauge("orchestrator_pending_deliveries", "Webhook messages that were not taken yet.")
DELIVERY_AGE = Gauge(
    "orchestrator_delivery_overdue_seconds",
    "For how long the oldest due webhook message has been due.",
)
SPENT = Gauge(
    "orchestrator_month_dollars",
    "What this month has cost so far, with the estimates of what is under way.",
)
MESSAGES = Gauge(
    "orchestrator_broker_messages", "Messages that wait in the broker for a worker.", ("queue",)
)

GAUGES = (
    *(INFO, DATABASE, REDIS, PROCESSES, STREAMS, VIDEOS, QUEUE_AGE, OVERDUE, HELD, ATTEMPTS),
    *(ADMITTED, CAP, PAUSED, UNCLAIMED, DUPLICATES, PENDING, DELIVERY_AGE, SPENT, MESSAGES),
)


def of_rows(ctx: Context) -> list[Sample]:
    """What PostgreSQL says; only that it does not answer, when it does not."""
    try:
        return [Sample(DATABASE, (), 1), *_of_videos(ctx), *_of_providers(ctx)]
    except OrchestratorError:
        return [Sample(DATABASE, (), 0)]


def _of_videos(ctx: Context) -> Iterator[Sample]:
    with ctx.database.statement() as connection:
        queue = traffic.queue(connection)
        overdue = health.overdue(connection)
        held = rows.held(connection)
        attempts = rows.open_attempts(connection)
        deliveries = rows.deliveries(connection)
        spent = rows.spent(connection)
    for state in ("queued", "scheduled", "held", "in_progress"):
        yield Sample(VIDEOS, (state,), getattr(queue, state))
    waited = 0.0
    if queue.oldest_at is not None:
        waited = max(0.0, (datetime.now(UTC) - queue.oldest_at).total_seconds())
    yield Sample(QUEUE_AGE, (), waited)
    yield Sample(OVERDUE, (), overdue.seconds if overdue is not None else 0)
    yield from (Sample(HELD, (reason,), n) for reason, n in held.items())
    yield from (Sample(ATTEMPTS, labels, n) for labels, n in attempts.items())
    yield Sample(PENDING, (), deliveries.pending)
    yield Sample(DELIVERY_AGE, (), deliveries.overdue_seconds)
    yield Sample(SPENT, (), float(spent))


def _of_providers(ctx: Context) -> Iterator[Sample]:
    for one in pauses.overview(ctx):
        name = (one.provider.name,)
        yield Sample(ADMITTED, name, one.admitted)
        if one.provider.max_in_flight is not None:
            yield Sample(CAP, name, one.provider.max_in_flight)
        yield Sample(PAUSED, name, one.paused_until is not None)
        yield Sample(UNCLAIMED, name, one.unclaimed)
        yield Sample(DUPLICATES, name, one.duplicates)


def of_processes(ctx: Context, totals: Totals | None) -> list[Sample]:
    """What Redis says of the processes and the broker's queues; only that it does not answer, when
    it does not.
    """
    found = [Sample(INFO, (__version__,), 1), Sample(REDIS, (), totals is not None)]
    if totals is not None:
        kinds = Counts({"web": 0, "worker": 0, "scheduler": 0})
        kinds.update(process.kind for process in totals.processes)
        found += [Sample(PROCESSES, (kind,), n) for kind, n in kinds.items()]
        found.append(Sample(STREAMS, (), sum(process.streams for process in totals.processes)))
    found += [Sample(MESSAGES, (name,), n) for name, n in (ctx.broker.depths() or {}).items()]
    return found
