"""What is left at accounts that are configured no longer: nobody can ask there, so operators are,
and what they do not decide ends some day.
"""

from __future__ import annotations

from decimal import Decimal

import structlog

from orchestrator import changes, looks, unknowns
from orchestrator.context import Context
from orchestrator.db import attempts, transitions
from orchestrator.db import orphans as rows
from orchestrator.db.engine import Connection
from orchestrator.lifecycle import AttemptState, HoldReason
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

BATCH = 100
GONE = "The provider of this video is not configured here any longer."


def settle(ctx: Context) -> int:
    """Hold what waits there for an answer, and end what nobody will hear of any more. Returns how
    many.
    """
    with ctx.database.statement() as connection:
        gone = [
            place for place in rows.accounts(connection) if ctx.catalog.provider(*place) is None
        ]
        found = [
            pair
            for place in gone
            for pair in rows.due(connection, *place, patience=looks.DETACHED_SECONDS, limit=BATCH)
        ]
    for video, attempt in found:
        with ctx.database.transaction() as connection:
            locked = attempts.lock(connection, video.id, attempt.n)
            changed = None if locked is None else _settle(connection, *locked)
        log.warning("account_gone", video_id=video.id, attempt=attempt.n, provider=attempt.provider)
        if changed is not None:
            changes.published(ctx, [changed])
    return len(found)


def _settle(connection: Connection, video: Video, attempt: Attempt) -> Video | None:
    if attempt.ended_at is not None or attempt.state == AttemptState.SENT:
        return None
    if not attempt.detached and attempt.state == AttemptState.UNKNOWN:
        return unknowns.hold(connection, video, attempt, HoldReason.ACCOUNT_GONE)
    failed = None
    if not attempt.detached:
        failed = transitions.fail(connection, video.id, code="lost", message=GONE)
        if failed is None:
            return None
    if attempt.state == AttemptState.UNKNOWN:
        attempts.abandon(connection, attempt, look_again=None)
    else:
        attempts.end(connection, video.id, attempt.n, upstream_status="unresolved", cost=Decimal(0))
    if failed is not None:
        return failed
    return transitions.charge(connection, video, cost=Decimal(0), kept=False)
