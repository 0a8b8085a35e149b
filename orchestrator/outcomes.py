"""What became of a submission: each function records one outcome, in one transaction.

Used by whoever learns of it: the submit step itself, the rescue of a dead worker's, reconciliation,
an operator. What the provider said goes to the attempt, always; the video follows only if nobody
has decided otherwise since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from orchestrator import changes, looks, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import acceptances, attempts, providers, submitting, transitions
from orchestrator.db.acceptances import Acceptance
from orchestrator.db.transitions import MINE, After, Mover
from orchestrator.errors import (
    DependencyBusy,
    DependencyDown,
    OrchestratorError,
    ProviderBusy,
    ProviderError,
)
from orchestrator.lifecycle import ACCEPT, FAIL, QuotaState, Status, Step
from orchestrator.policies import backoff
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, ProviderState, Video

log = structlog.get_logger(__name__)

MISCONFIGURED_BASE = 30.0


@dataclass(frozen=True, slots=True)
class Taken:
    """An attempt that its provider has taken, as `found`, made by whoever has this lease."""

    provider: Provider
    video: Video
    attempt: Attempt
    found: ProviderVideo
    token: str


def accepted_all(ctx: Context, taken: Sequence[Taken]) -> list[bool]:
    """Their providers have taken these: one transaction for all that go straight on, and one each
    for what has an unusual story. Returns of each whether it went straight on.
    """
    try:
        moved = _accepted_together(ctx, taken)
    except DependencyDown as error:
        if not isinstance(error, DependencyBusy):
            raise
        log.info("lot_failed", acceptances=len(taken), error=error.code)
        moved = set()
    except Exception as error:
        # One row that cannot be written must not take its neighbours along.
        log.info("lot_failed", acceptances=len(taken), error=type(error).__name__)
        moved = set()
    for one in taken:
        if one.video.id not in moved:
            accepted(ctx, one.provider, one.video.id, one.attempt.n, one.found, token=one.token)
    return [one.video.id in moved for one in taken]


def _accepted_together(ctx: Context, taken: Sequence[Taken]) -> set[str]:
    """Record the plain ones; returns which these are."""
    with ctx.database.transaction() as connection:
        plain = acceptances.write(
            connection,
            [
                Acceptance(
                    one.video.id, one.attempt.n, one.found.id, one.found.canonical_id, one.token
                )
                for one in taken
            ],
        )
        states = {}
        for account in {(o.provider.name, o.provider.account) for o in taken}:
            providers.recovered(connection, *account)
            states[account] = providers.get(connection, *account)
        moved = transitions.transition_all(
            connection,
            [
                Mover(one.video.id, values={"due_at": _first_look(ctx, one, states)})
                for one in taken
                if one.video.id in plain
            ],
            ACCEPT,
            values={
                "step": Step.POLL,
                "deadline_at": After(ctx.settings.video_deadline_seconds),
            },
        )
    changes.published(ctx, moved)
    return plain


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
            unknowns.note(ctx, connection, provider, video, attempt, token=token or "", error=None)
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
                "due_at": After(max(looks.first_poll(ctx, provider), found.poll_after or 0)),
                "deadline_at": After(ctx.settings.video_deadline_seconds),
            },
        )
    if moved is not None:
        changes.published(ctx, [moved])
    return moved


def _first_look(
    ctx: Context, one: Taken, states: Mapping[tuple[str, str], ProviderState | None]
) -> float:
    state = states[one.provider.name, one.provider.account]
    wait = looks.first_wait(ctx, one.provider, one.video, state)
    return max(wait, one.found.poll_after or 0)


def refused(
    ctx: Context, video: Video, attempt: Attempt, error: OrchestratorError, *, token: str
) -> None:
    """The request will never do: the video fails, with the reason, and gives its place in the quota
    back.
    """
    with ctx.database.transaction() as connection:
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
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
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
        wait = backoff(ctx.settings.retry_base_seconds, attempt.n, ctx.dice(), ceiling=60)
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=wait)
    log.warning("submit_deferred", video_id=video.id, attempt=attempt.n, reason=error.code)


def unsent(ctx: Context, video: Video, attempt: Attempt, *, token: str) -> None:
    """The process ends before the call: somebody else makes the next attempt at once."""
    with ctx.database.transaction() as connection:
        attempts.rejected(
            connection,
            video.id,
            attempt.n,
            error="never sent: the worker stopped",
            http_status=None,
        )
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=0, unadmit=False)


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
        attempts.rejected(connection, video.id, attempt.n, **error.evidence)
        submitting.give_back(connection, video.id, attempt.n, token=token, due_in=0)
        state = providers.get(connection, provider.name, provider.account)
        pauses = (state.pauses if state else 0) + 1
        base = MISCONFIGURED_BASE if misconfigured else ctx.settings.retry_base_seconds
        asked = error.retry_after if isinstance(error, ProviderBusy) else None
        seconds = max(asked or 0.0, backoff(base, pauses, ctx.dice(), ceiling=looks.PAUSE_CEILING))
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
