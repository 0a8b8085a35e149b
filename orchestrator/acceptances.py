"""What providers have taken. Used by whoever learns of it: the submit step, reconciliation, an
operator. The id goes to the attempt, always; the video follows only if nobody has decided otherwise
since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from orchestrator import changes, looks, results, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import acceptances as rows
from orchestrator.db import attempts, providers, transitions
from orchestrator.db.acceptances import Acceptance
from orchestrator.db.engine import Connection
from orchestrator.db.transitions import After, Mover
from orchestrator.errors import DependencyBusy, DependencyDown
from orchestrator.lifecycle import ACCEPT, ACCEPT_FINISHED, ALL_BUT_STORED, Status, Step
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, ProviderState, Video

log = structlog.get_logger(__name__)


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
    written = {one.video.id: _acceptance(ctx, one) for one in taken}
    with ctx.database.transaction() as connection:
        plain = rows.write(connection, list(written.values()))
        states = {}
        for account in {(o.provider.name, o.provider.account) for o in taken}:
            providers.recovered(connection, *account)
            states[account] = providers.get(connection, *account)
        running = transitions.transition_all(
            connection,
            [
                Mover(one.video.id, values={"due_at": _first_look(ctx, one, states)})
                for one in taken
                if one.video.id in plain and written[one.video.id].finished is None
            ],
            ACCEPT,
            values={"step": Step.POLL, **_deadline(ctx)},
        )
        ready = _to_store(ctx, connection, [written[video_id] for video_id in sorted(plain)])
    changes.ring_stores(ctx, ready)
    changes.published(ctx, [*running, *ready])
    return plain


def _acceptance(ctx: Context, one: Taken) -> Acceptance:
    finished = None
    # Not any word that we read so: in an answer to a create `success` may be that of the request.
    if one.found.status == one.found.raw_status == Status.COMPLETED:
        finished = results.generated(ctx, one.provider, one.video, one.attempt, one.found)
    return Acceptance(
        one.video.id, one.attempt.n, one.found.id, one.found.canonical_id, one.token, finished
    )


def _to_store(ctx: Context, connection: Connection, written: Sequence[Acceptance]) -> list[Video]:
    """Those of them whose create was answered with the finished video: there is nothing to look
    for.
    """
    finished = [one.finished for one in written if one.finished is not None]
    return transitions.transition_all(
        connection,
        [
            Mover(one.id, data={"progress": ALL_BUT_STORED}, values={"cost_actual": one.cost})
            for one in finished
        ],
        ACCEPT_FINISHED,
        values={
            "step": Step.STORE,
            "progress": ALL_BUT_STORED,
            "due_at": After(0),
            "rung_at": After(0),
            "last_polled_at": After(0),
            **_deadline(ctx),
        },
    )


def _deadline(ctx: Context) -> Mapping[str, After]:
    return {"deadline_at": After(ctx.settings.video_deadline_seconds)}


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
                **_deadline(ctx),
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
