"""The sweep: the periodic look in PostgreSQL for what is due, expired or forgotten.

It never works on a video itself: it admits, makes due and rings, so that one path leads into
execution. Any number of processes may sweep at once, and none of them is needed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from time import perf_counter

import structlog

from orchestrator import changes, fallbacks, looks, orphans, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import (
    attempts,
    backlog,
    lanes,
    pictures,
    providers,
    queue,
    targets,
    transitions,
)
from orchestrator.db.engine import Connection
from orchestrator.db.queue import Due, DueAttempt
from orchestrator.ledger import AHEAD
from orchestrator.lifecycle import AttemptState, Step
from orchestrator.meters import SWEEP_SECONDS, SWEPT
from orchestrator.rings import Ring, polls, stores

log = structlog.get_logger(__name__)

BATCH = 1000
RING_AGAIN_IDLE = 3.0
"""Seconds after which an unanswered ring is repeated while the broker is empty: it was lost."""
RING_AGAIN_BUSY = 60.0
"""The same while messages wait: it is probably one of them."""
SINGLE_CHUNK = 3
FOLLOW_FROM = 20
"""From so many due polls of one account on, one worker follows them all through its list."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep found."""

    admitted: int
    rung: int
    rescued: int
    expired: int


def sweep(ctx: Context) -> Swept:
    """Rescue, admit, ring, expire: each in a short transaction of its own."""
    began = perf_counter()
    rescued = _rescue(ctx)
    orphans.settle(ctx)
    fallbacks.reroute(ctx)
    admitted = _admit(ctx)
    depths = ctx.broker.depths()
    idle = depths is None or not any(depths.values())
    again = RING_AGAIN_IDLE if idle else RING_AGAIN_BUSY
    with ctx.database.transaction() as connection:
        due = queue.ring_due(connection, again=again, limit=BATCH)
    with ctx.database.transaction() as connection:
        attempts_due = queue.ring_due_attempts(connection, again=again, limit=BATCH)
    with ctx.database.transaction() as connection:
        unpictured = pictures.ring_due(connection, again=again, limit=BATCH)
    with ctx.database.transaction() as connection:
        receivers = targets.ring_due(connection, again=again, limit=BATCH)
    rings = [
        *changes.submit_rings(ctx, admitted),
        *_rings(ctx, due),
        *_look_rings(ctx, attempts_due),
        *stores(unpictured),
        *(Ring("deliver", (target,), "deliver") for target in receivers),
    ]
    ctx.broker.ring(rings)
    swept = Swept(len(admitted), len(rings), rescued, _expire(ctx))
    ctx.meters.observe(SWEEP_SECONDS, perf_counter() - began)
    for what, n in asdict(swept).items():
        if n:
            ctx.meters.count(SWEPT, what, n=n)
    return swept


def _rescue(ctx: Context) -> int:
    """Whoever sent these is dead: what became of them is unknown."""
    with ctx.database.statement() as connection:
        expired = queue.expired_submits(connection, limit=BATCH)
    for video_id, n, name, account in expired:
        provider = ctx.catalog.provider(name, account)
        unknowns.unknown(ctx, provider, video_id, n, token=None)
    return len(expired)


def _admit(ctx: Context) -> list[Due]:
    admitted: list[Due] = []
    with ctx.database.transaction() as connection:
        if not backlog.lock_dispatch(connection):
            return []
        backlog.take_back(connection)
        lanes.release(connection, limit=BATCH)
        lanes.call(connection)
        backlog.wake(connection, limit=BATCH)
        for name, account in backlog.backlogs(connection):
            provider = ctx.catalog.provider(name, account)
            if provider is not None:
                slots = _slots(connection, provider)
                started = backlog.admit(connection, name, account, slots)
                if provider.rpm is not None and started:
                    providers.spend(connection, name, account, creates=len(started))
                admitted += started
    return admitted


def _slots(connection: Connection, provider: Provider) -> int:
    """How many more submissions this account may begin now."""
    name, account = provider.name, provider.account
    cap = provider.max_in_flight
    load = backlog.load(connection, name, account, ahead=AHEAD, at_most=cap or 0)
    slots = AHEAD - load.admitted
    if cap is not None:
        slots = min(slots, cap - load.used)
    state = providers.get(connection, name, account)
    if state is not None and state.pauses > 0:
        # It has just turned us away: one of us tries whether it is back, the others wait for the
        # news.
        slots = min(slots, 1 - load.admitted - load.sent)
    if provider.rpm is not None and slots > 0:
        slots = min(slots, providers.tokens(connection, name, account, rpm=provider.rpm))
    return slots


def _rings(ctx: Context, due: list[Due]) -> list[Ring]:
    by_step: dict[str, list[Due]] = defaultdict(list)
    for item in due:
        by_step[item.step].append(item)
    rings = changes.submit_rings(ctx, by_step[Step.SUBMIT])
    rings += stores(item.id for item in by_step[Step.STORE])
    by_account: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for item in by_step[Step.POLL]:
        account = (item.provider, item.account)
        by_account[account].append((item.id, *account))
    for account, items in by_account.items():
        provider = ctx.catalog.provider(*account)
        if provider is None or provider.profile.list == "none":
            rings += polls(items, chunk=SINGLE_CHUNK)
        elif len(items) >= FOLLOW_FROM:
            rings.append(Ring("follow", account, "poll"))
        elif not ctx.limits.held(looks.followed(*account)):
            rings += polls(items, chunk=FOLLOW_FROM)
    return rings


def _look_rings(ctx: Context, wanted: list[DueAttempt]) -> list[Ring]:
    """One message per account and duty, however many attempts wait there."""
    duties = {
        (
            "watch" if look.state == AttemptState.ACCEPTED else "reconcile",
            look.provider,
            look.account,
        )
        for look in wanted
        if ctx.catalog.provider(look.provider, look.account) is not None
    }
    return [
        Ring(task, (name, account), "poll" if task == "watch" else "dispatch")
        for task, name, account in sorted(duties)
    ]


def _expire(ctx: Context) -> int:
    """Fail what could not be started for too long."""
    timeout = ctx.settings.start_timeout_seconds
    with ctx.database.statement() as connection:
        overdue = queue.overdue_starts(connection, timeout=timeout, limit=BATCH)
    for video_id in overdue:
        with ctx.database.transaction() as connection:
            asked = attempts.open_count(connection, video_id) > 0
            failed = transitions.fail(
                connection,
                video_id,
                code="outcome_unknown" if asked else "start_timeout",
                message=unknowns.OUTCOME_UNKNOWN
                if asked
                else "This video could not be started in time.",
                guard="v.status = 'queued' and v.lease_token is null",
            )
            if failed is not None:
                attempts.detach(connection, video_id)
        if failed is not None:
            changes.published(ctx, [failed])
    return len(overdue)
