"""What `doctor` says about those who do the work: are they there, and do they get on?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.broker import QUEUES
from orchestrator.cli import output
from orchestrator.cli.findings import Check, State
from orchestrator.context import Context
from orchestrator.db import health
from orchestrator.db.health import Overdue, Work

OVERDUE_SECONDS = 60.0
SILENT_SECONDS = 30.0
"""A scheduler looks into PostgreSQL each second, a worker every five."""
MANY_FAILED = 5


def answering(ctx: Context, seconds: float) -> Iterator[Check]:
    """Which workers answer over the broker within so many seconds, and whether one of them takes
    from each queue.
    """
    depths = ctx.broker.depths()
    if depths is None:
        message = "cannot be asked: the broker does not answer"
        yield Check("workers", State.WARN, message, "See redis.")
        return
    workers = ctx.broker.workers(seconds)
    if not workers:
        advice = "Start one, as the Procfile says: celery -A workers.app worker …"
        yield Check("workers", State.FAIL, f"none answers{_waiting(depths)}", advice)
        return
    served = frozenset[str]().union(*workers.values())
    deserted = [queue for queue in QUEUES if queue not in served]
    if deserted:
        yield Check(
            "workers",
            State.FAIL,
            f"{', '.join(workers)}; none of them takes from {', '.join(deserted)}",
            f"Start one with -Q {','.join(deserted)}, or one without -Q, which takes from all.",
        )
    else:
        yield Check("workers", State.OK, ", ".join(workers) + _waiting(depths))


def _waiting(depths: Mapping[str, int]) -> str:
    full = ", ".join(f"{queue} {depth}" for queue, depth in depths.items() if depth)
    return f"; messages wait: {full}" if full else ""


def getting_on(ctx: Context, *, answered: bool) -> Iterator[Check]:
    """Whether workers and scheduler use this database. `answered`: workers are there."""
    with ctx.database.statement() as connection:
        silent = health.silent_seconds(connection)
    if answered:
        yield from workers_at_work(silent.get("orchestrator worker"))
    yield scheduler_at_work(silent.get("orchestrator scheduler"))


def workers_at_work(silent: float | None) -> Iterator[Check]:
    """What is wrong with workers that answer and have said nothing to PostgreSQL for so many
    seconds; None: they are not connected.
    """
    if silent is None:
        yield Check(
            "progress",
            State.WARN,
            "workers answer, but none is connected to this database",
            "If they were not started within the last seconds: have they another DATABASE_URL?",
        )
    elif silent > SILENT_SECONDS:
        yield Check(
            "progress",
            State.FAIL,
            f"workers answer, but have not asked for work for {output.duration(silent)}",
            "Look at their logs, and start them again.",
        )


def scheduler_at_work(silent: float | None) -> Check:
    """The same of the scheduler."""
    without = "Workers go on without it, but start videos later, and nothing is tidied up."
    if silent is None:
        advice = f"Start one: orchestrator scheduler. {without}"
        return Check("scheduler", State.WARN, "is not connected to this database", advice)
    if silent > SILENT_SECONDS:
        message = f"has done nothing for {output.duration(silent)}"
        return Check("scheduler", State.WARN, message, f"Start it again. {without}")
    return Check("scheduler", State.OK, "is at work")


def work(ctx: Context) -> Iterator[Check]:
    """What waits, is late, has failed, or needs an operator."""
    with ctx.database.statement() as connection:
        found, overdue = health.work(connection), health.overdue(connection)
    yield _lateness(found, overdue)
    if found.failed >= MANY_FAILED and found.failed > found.completed:
        yield Check(
            "failures",
            State.WARN,
            f"{found.failed} videos failed within the last hour, and {found.completed} completed",
            "`orchestrator list --status failed` shows which, `orchestrator show ID` why.",
        )
    if found.held:
        yield Check(
            "held",
            State.WARN,
            f"{found.held} waiting for an operator's decision",
            "`orchestrator resolve` lists them and decides.",
        )


def _lateness(found: Work, overdue: Overdue | None) -> Check:
    counts = (
        f"{found.waiting} waiting for a slot, {found.unknown} of unknown outcome, "
        f"{found.completed} completed within the last hour"
    )
    if overdue is None or overdue.seconds <= OVERDUE_SECONDS:
        return Check("work", State.OK, f"{counts}; nothing is late")
    late = f"{output.duration(overdue.seconds)} late ({overdue.step})"
    return Check(
        "work",
        State.WARN,
        f"{counts}; the oldest due step is {late}",
        "Look at the logs of the workers, or start more of them.",
    )
