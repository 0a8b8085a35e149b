"""What became of a submission: each function records one outcome, in one transaction.

Used by whoever learns of it: the submit step itself, the rescue of a dead worker's, reconciliation,
an operator. What the provider said goes to the attempt, always; the video follows only if nobody
has decided otherwise since.
"""

from __future__ import annotations

import structlog

from orchestrator import changes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, providers, transitions
from orchestrator.db.engine import Connection
from orchestrator.db.transitions import MINE, After
from orchestrator.errors import OrchestratorError, ProviderBusy, ProviderError
from orchestrator.lifecycle import (
    ACCEPT,
    FAIL,
    AttemptState,
    EventType,
    QuotaState,
    Status,
    Step,
)
from orchestrator.policies import backoff
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

PAUSE_CEILING = 300.0
MISCONFIGURED_BASE = 30.0
OUTCOME_UNKNOWN = "It is not known whether the provider accepted this video."
DETACHED_SECONDS = 86_400.0
"""How long an attempt stays under watch after its video has moved on, and stays matchable after it
was given up.
"""


def accepted(
    ctx: Context,
    provider: Provider,
    video_id: str,
    n: int,
    found: ProviderVideo,
    *,
    token: str | None,
) -> Video | None:
    """The provider has taken it. The video follows if this attempt is the one that it waits for;
    else the attempt is detached and watched. Returns the video if it moved.
    """
    with ctx.database.transaction() as connection:
        pair = attempts.lock(connection, video_id, n)
        if pair is None or pair[1].canonical_id is not None:
            return None
        video, attempt = pair
        waited_for = (
            video.status == Status.QUEUED
            and video.lease_token in {None, token}
            and not attempts.others_open(connection, video_id, n)
        )
        if not attempts.accepted(
            connection,
            attempt,
            provider_video_id=found.id,
            canonical_id=found.canonical_id,
            detached=not waited_for,
        ):
            # A look at the list gave this very id to an equal attempt. Whose it is does not matter;
            # ours is open again.
            _unknown(ctx, connection, provider, video, attempt, token=token or "", error=None)
            return None
        providers.recovered(connection, provider.name, provider.account)
        if not waited_for:
            if video.status not in {Status.CANCELLED, Status.DELETED}:
                providers.count(connection, provider.name, provider.account, duplicates=1)
            log.warning("late_success", video_id=video_id, attempt=n, status=video.status)
            return None
        moved = transitions.transition(
            connection,
            video_id,
            ACCEPT,
            values={
                "step": Step.POLL,
                "due_at": After(max(first_poll(ctx, provider), found.poll_after or 0)),
                "deadline_at": After(ctx.settings.video_deadline_seconds),
            },
        )
    if moved is not None:
        changes.published(ctx, [moved])
    return moved


def adopted(
    ctx: Context, provider: Provider, attempt: Attempt, provider_video_id: str, canonical_id: str
) -> Video | None:
    """An operator says which of the provider's videos it is. None: it cannot be that one."""
    found = ProviderVideo(
        id=provider_video_id,
        canonical_id=canonical_id,
        status="in_progress",
        raw_status="in_progress",
    )
    return accepted(ctx, provider, attempt.video_id, attempt.n, found, token=None)


def refused(
    ctx: Context, video: Video, attempt: Attempt, error: OrchestratorError, *, token: str
) -> None:
    """The request will never do: the video fails, with the reason, and gives its place in the quota
    back.
    """
    with ctx.database.transaction() as connection:
        attempts.rejected(
            connection, video.id, attempt.n, error=_detail(error), http_status=_http_status(error)
        )
        failed = transitions.transition(
            connection,
            video.id,
            FAIL,
            guard=MINE,
            params={"token": token, "n": attempt.n},
            values={"error_code": error.code, "error_message": error.message},
            data={"code": error.code, "message": error.message},
            settle=QuotaState.RELEASED,
        )
    if failed is not None:
        changes.published(ctx, [failed])


def deferred(
    ctx: Context, video: Video, attempt: Attempt, error: OrchestratorError, *, token: str
) -> None:
    """Our own fault, before anything was sent: try this video again soon."""
    with ctx.database.transaction() as connection:
        attempts.rejected(connection, video.id, attempt.n, error=_detail(error), http_status=None)
        wait = backoff(ctx.settings.retry_base_seconds, attempt.n, ctx.dice(), ceiling=60)
        attempts.give_back(connection, video.id, attempt.n, token=token, due_in=wait)
    log.warning("submit_deferred", video_id=video.id, attempt=attempt.n, reason=error.code)


def postponed(
    ctx: Context,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    error: ProviderError,
    *,
    token: str,
    misconfigured: bool = False,
) -> None:
    """Not now: the video goes back to the backlog, uncounted, and nobody bothers this provider for
    a while.
    """
    with ctx.database.transaction() as connection:
        attempts.rejected(
            connection, video.id, attempt.n, error=_detail(error), http_status=error.http_status
        )
        attempts.give_back(connection, video.id, attempt.n, token=token, due_in=0)
        state = providers.get(connection, provider.name, provider.account)
        pauses = (state.pauses if state else 0) + 1
        base = MISCONFIGURED_BASE if misconfigured else ctx.settings.retry_base_seconds
        asked = error.retry_after if isinstance(error, ProviderBusy) else None
        seconds = max(asked or 0.0, backoff(base, pauses, ctx.dice(), ceiling=PAUSE_CEILING))
        providers.pause(
            connection, provider.name, provider.account, reason=error.message, seconds=seconds
        )
    log.warning(
        "provider_paused",
        provider=provider.name,
        seconds=round(seconds, 1),
        reason=error.code,
        video_id=video.id,
        attempt=attempt.n,
    )


def unknown(
    ctx: Context,
    provider: Provider,
    video_id: str,
    n: int,
    *,
    token: str | None,
    error: ProviderError | None = None,
) -> None:
    """Nobody knows whether the provider took it: the profile says how that is found out.

    Args:
        token: None: whoever sent it is dead, and its lease on the video goes with it.
    """
    with ctx.database.transaction() as connection:
        pair = attempts.lock(connection, video_id, n)
        if pair is None or pair[1].state != AttemptState.SENT:
            return
        video, attempt = pair
        token = attempt.lease_token or "" if token is None else token
        changed = _unknown(ctx, connection, provider, video, attempt, token=token, error=error)
    log.warning("outcome_unknown", video_id=video_id, attempt=n, provider=provider.name)
    if changed is not None:
        changes.published(ctx, [changed])


def _unknown(
    ctx: Context,
    connection: Connection,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    *,
    token: str,
    error: ProviderError | None,
) -> Video | None:
    profile = provider.profile
    found_out = profile.list != "none" or profile.honours_idempotency_key
    attempts.unknown(
        connection,
        video.id,
        attempt.n,
        grace=ctx.settings.reconcile_grace_seconds if found_out else None,
        error=_detail(error),
        http_status=_http_status(error),
    )
    attempts.give_back(connection, video.id, attempt.n, token=token, due_in=None, unadmit=False)
    if found_out:
        return None
    if profile.on_unknown == "retry":
        return abandoned(ctx, connection, video, attempt)
    if video.status != Status.QUEUED or attempt.detached:
        return None
    if profile.on_unknown == "fail":
        return _failed_unknown(connection, video)
    return transitions.record(
        connection,
        video.id,
        EventType.HELD,
        guard="v.status = 'queued' and v.hold_reason is null",
        values={"hold_reason": "outcome_unknown"},
        data={"reason": "outcome_unknown", "attempt": attempt.n},
    )


def abandoned(ctx: Context, connection: Connection, video: Video, attempt: Attempt) -> Video | None:
    """It was not taken, as far as anybody can see: the next attempt may start, unless there were
    too many.

    `video` and `attempt` are locked. A video of the provider that turns up later is still
    matched, for a day.
    """
    attempts.abandon(connection, attempt, look_again=_next_late_look(ctx))
    if video.status != Status.QUEUED or attempt.detached:
        return None
    if attempts.abandoned_count(connection, video.id) >= ctx.settings.max_attempts:
        return _failed_unknown(connection, video)
    attempts.give_back(connection, video.id, attempt.n, token="", due_in=0)
    return None


def _failed_unknown(connection: Connection, video: Video) -> Video | None:
    failed = fail(
        connection,
        video.id,
        code="outcome_unknown",
        message=OUTCOME_UNKNOWN,
    )
    if failed is not None:
        attempts.detach(connection, video.id, after=DETACHED_SECONDS)
    return failed


def fail(
    connection: Connection,
    video_id: str,
    *,
    code: str,
    message: str,
    guard: str = "true",
    token: str = "",
) -> Video | None:
    """Fail a video for a reason that users may read; its place in the quota is given back."""
    return transitions.transition(
        connection,
        video_id,
        FAIL,
        guard=guard,
        params={"token": token} if ":token" in guard else None,
        values={"error_code": code, "error_message": message},
        data={"code": code, "message": message},
        settle=QuotaState.RELEASED,
    )


def first_poll(ctx: Context, provider: Provider) -> float:
    """Seconds from acceptance to the first look."""
    return ctx.settings.poll_min_seconds or provider.profile.poll_min_seconds


def asked_too_often(ctx: Context, provider: Provider, error: ProviderBusy) -> None:
    """One of us is told to ask less: nobody looks at this account for a while."""
    seconds = min(error.retry_after or 2 * first_poll(ctx, provider), PAUSE_CEILING)
    with ctx.database.statement() as connection:
        providers.pause_polls(connection, provider.name, provider.account, seconds=seconds)


def may_look(ctx: Context, provider: Provider) -> bool:
    """Whether the account may be asked anything now."""
    with ctx.database.statement() as connection:
        return not providers.polls_paused_for(connection, provider.name, provider.account)


def _next_late_look(ctx: Context) -> float:
    return max(60.0, 4 * ctx.settings.reconcile_grace_seconds)


def _detail(error: OrchestratorError | None) -> str | None:
    if error is None:
        return None
    detail = error.detail if isinstance(error, ProviderError) else None
    return (detail or error.message)[:2000]


def _http_status(error: OrchestratorError | None) -> int | None:
    return error.http_status if isinstance(error, ProviderError) else None
