"""Watch: follow attempts whose video has moved on to their end, so that what they cost is known."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import structlog

from orchestrator import changes, looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, transitions
from orchestrator.db import looks as look_rows
from orchestrator.errors import ProviderBusy, ProviderError, ProviderMissing
from orchestrator.lifecycle import AttemptState
from orchestrator.policies import poll_delay
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video
from orchestrator.results import charged

log = structlog.get_logger(__name__)

BATCH = 50
UNREADABLE_SECONDS = 2 * looks.DETACHED_SECONDS
"""An attempt of which the provider never says anything holds its slot no longer than that."""
_NOTHING = Decimal(0)


def watch(ctx: Context, name: str, account: str) -> None:
    """Look at the due detached attempts of one account."""
    provider = ctx.catalog.provider(name, account)
    if provider is None or not looks.may_look(ctx, provider):
        return
    with ctx.leases.hold() as token:
        with ctx.database.transaction() as connection:
            due = look_rows.claim_due(
                connection,
                name,
                account,
                (AttemptState.ACCEPTED,),
                token=token,
                lease=ctx.leases.seconds,
                limit=BATCH,
            )
        for video, attempt in due:
            _look(ctx, provider, video, attempt)


def _look(ctx: Context, provider: Provider, video: Video, attempt: Attempt) -> None:
    client = ctx.pool.get(provider)
    upstream_id = attempt.provider_video_id or ""
    try:
        if provider.profile.delete_cancels and attempt.upstream_status != "cancelling":
            # One that has finished in the meantime must be known to have, before it is gone.
            found = client.retrieve(upstream_id)
            if found.status in {"queued", "in_progress"}:
                client.delete(upstream_id)
                _again(ctx, provider, attempt, {"upstream_status": "cancelling"})
                return
        else:
            found = client.retrieve(upstream_id)
    except ProviderMissing:
        _missing(ctx, provider, video, attempt)
    except ProviderError as error:
        if isinstance(error, ProviderBusy):
            looks.asked_too_often(ctx, provider, error)
        log.warning("watch_failed", video_id=video.id, attempt=attempt.n, reason=error.code)
        if _age(attempt.sent_at) > UNREADABLE_SECONDS:
            _end(ctx, video, attempt, status="unresolved", cost=_NOTHING, finished=False)
        else:
            _again(ctx, provider, attempt, {})
    else:
        _judge(ctx, provider, video, attempt, found)


def _judge(
    ctx: Context, provider: Provider, video: Video, attempt: Attempt, found: ProviderVideo
) -> None:
    if found.status == "completed":
        cost = charged(ctx, provider, video, found)
        _end(ctx, video, attempt, status=found.raw_status, cost=cost, finished=True)
    elif found.status == "failed":
        _end(ctx, video, attempt, status=found.raw_status, cost=_NOTHING, finished=False)
    elif _age(attempt.sent_at) > looks.DETACHED_SECONDS:
        _end(ctx, video, attempt, status="unresolved", cost=_NOTHING, finished=False)
    else:
        _again(ctx, provider, attempt, {"missing_since": None})


def _missing(ctx: Context, provider: Provider, video: Video, attempt: Attempt) -> None:
    """Where we have just cancelled it, that is the answer; elsewhere it may still come back."""
    grace = ctx.settings.missing_grace_seconds or provider.profile.missing_grace_seconds
    gone = attempt.missing_since is not None and _age(attempt.missing_since) > grace
    if attempt.upstream_status == "cancelling" or gone:
        status = "cancelled" if attempt.upstream_status == "cancelling" else "missing"
        _end(ctx, video, attempt, status=status, cost=_NOTHING, finished=False)
    else:
        since = attempt.missing_since or datetime.now(UTC)
        _again(ctx, provider, attempt, {"missing_since": since})


def _end(
    ctx: Context, video: Video, attempt: Attempt, *, status: str, cost: Decimal, finished: bool
) -> None:
    changed = None
    with ctx.database.transaction() as connection:
        locked = attempts.lock(connection, video.id, attempt.n)
        if locked is None or not attempts.end(
            connection, video.id, attempt.n, upstream_status=status, cost=cost
        ):
            return
        changed = transitions.charge(connection, locked[0], cost=cost, kept=finished)
    log.info("watch_ended", video_id=video.id, attempt=attempt.n, status=status, cost=str(cost))
    if changed is not None:
        changes.published(ctx, [changed])


def _again(ctx: Context, provider: Provider, attempt: Attempt, values: dict[str, object]) -> None:
    minimum = looks.first_poll(ctx, provider)
    wait = poll_delay(_age(attempt.accepted_at or attempt.sent_at), minimum, ctx.dice())
    with ctx.database.transaction() as connection:
        look_rows.change(connection, attempt, values, due_in=wait)


def _age(moment: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())
