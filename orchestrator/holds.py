"""Held videos: what only an operator can decide, because no list tells whether the provider took
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import adoptions, changes, looks, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, audit, transitions
from orchestrator.db import looks as look_rows
from orchestrator.db import videos as rows
from orchestrator.db.audit import Action
from orchestrator.db.engine import Connection
from orchestrator.errors import Conflict, InvalidRequest, NotFound
from orchestrator.ids import is_video_id
from orchestrator.lifecycle import AttemptState, Kind
from orchestrator.records import Attempt, Caller, Video

DECISIONS = ("adopt", "retry", "fail")


@dataclass(frozen=True, slots=True)
class Held:
    """A held video and the attempt of unknown outcome that it waits for."""

    video: Video
    attempt: Attempt


def held(ctx: Context, *, limit: int = 100) -> list[Held]:
    """Videos that wait for an operator, oldest first."""
    with ctx.database.statement() as connection:
        return [Held(video, attempt) for video, attempt in look_rows.held(connection, limit=limit)]


def resolve(
    ctx: Context,
    video_id: str,
    decision: str,
    *,
    provider_video_id: str | None = None,
    by: Caller | None = None,
) -> Video:
    """Decide about a held video.

    Args:
        decision: `adopt`: the provider has it, under `provider_video_id`, which a worker tries;
            `retry`: it does not, submit again; `fail`: give up.
        by: who decides; None: somebody at the command line.
    Raises:
        InvalidRequest: no such decision, or `adopt` without an id or with one that cannot be one.
        NotFound: no such video.
        Conflict: it is not held (`not_held`), that id belongs to another attempt (`id_taken`), or
            its account is gone and what was decided needs one (`provider_gone`).
    """
    if decision not in DECISIONS:
        raise InvalidRequest(f"decision must be one of {', '.join(DECISIONS)}.", param="decision")
    if decision == "adopt" and not provider_video_id:
        raise InvalidRequest(
            "adopt needs the provider's id of the video.", param="provider_video_id"
        )
    video, attempt = _find(ctx, video_id)
    with ctx.database.transaction() as connection:
        locked = attempts.lock(connection, video.id, attempt.n)
        if locked is None or locked[0].hold_reason is None:
            raise _not_held()
        act = {"decision": decision, "user_id": video.user_id}
        audit.write(connection, by, Action.VIDEO_RESOLVED, video.id, act)
        if decision == "adopt":
            changed = _adopt(ctx, connection, *locked, provider_video_id or "")
        else:
            changed = (_retry if decision == "retry" else _fail)(ctx, connection, *locked)
    changes.published(ctx, [changed])
    if decision == "adopt":
        adoptions.ring(ctx, attempt)
    return changed


def _find(ctx: Context, video_id: str) -> tuple[Video, Attempt]:
    if not is_video_id(video_id):
        raise NotFound("There is no such video.")
    with ctx.database.statement() as connection:
        video = rows.get(connection, video_id)
        if video is None:
            raise NotFound("There is no such video.")
        unknown = [
            attempt
            for attempt in attempts.of_video(connection, video_id)
            if attempt.state == AttemptState.UNKNOWN and not attempt.detached
        ]
    if video.hold_reason is None or not unknown:
        raise _not_held()
    return video, unknown[-1]


def _adopt(
    ctx: Context, connection: Connection, video: Video, attempt: Attempt, provider_video_id: str
) -> Video:
    provider = ctx.catalog.provider(attempt.provider, attempt.account)
    if provider is None:
        raise Conflict(
            "The account that this video was sent to is not configured any longer, so nothing can "
            "be fetched there: retry or fail it, or configure that account again.",
            code="provider_gone",
        )
    adoptions.check_id(provider, provider_video_id)
    changed = adoptions.offer(connection, provider, video, attempt, provider_video_id)
    if changed is None:
        raise _not_held()
    return changed


def _retry(ctx: Context, connection: Connection, video: Video, attempt: Attempt) -> Video:
    gone = ctx.catalog.provider(video.provider, video.account) is None
    changed = unknowns.abandoned(
        ctx,
        connection,
        video,
        attempt,
        decision="retry",
        provider=_elsewhere(ctx, video) if gone else None,
    )
    if changed is None:
        raise _not_held()
    return changed


def _elsewhere(ctx: Context, video: Video) -> Provider:
    """Who can make a video whose provider is gone."""
    takers: tuple[Provider, ...] = ()
    if video.kind == Kind.CREATE and video.model in ctx.catalog.models:
        takers = ctx.catalog.takers(
            video.model,
            seconds=video.seconds,
            size=video.size,
            prompt=video.prompt,
            has_image=video.input_key is not None,
        )
    if not takers:
        raise Conflict(
            "The account that this video was sent to is not configured any longer, and no other "
            "provider here can make it: fail it, or configure that account again.",
            code="provider_gone",
        )
    return takers[0]


def _fail(ctx: Context, connection: Connection, video: Video, attempt: Attempt) -> Video:
    failed = transitions.fail(
        connection, video.id, code="outcome_unknown", message=unknowns.OUTCOME_UNKNOWN
    )
    if failed is None:
        raise _not_held()
    attempts.detach(connection, video.id, after=looks.DETACHED_SECONDS)
    return failed


def _not_held() -> Conflict:
    return Conflict("This video is not held: there is nothing to decide.", code="not_held")
