"""Store: copy finished videos into our own storage, checked, and only then call them completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import changes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.crew import Stopped
from orchestrator.db import polling, transitions
from orchestrator.db.transitions import After, Mover
from orchestrator.errors import OrchestratorError, ProviderError, StorageError
from orchestrator.lifecycle import COMPLETE, QuotaState, Step
from orchestrator.policies import PICTURE_WAITS, backoff
from orchestrator.records import Attempt, Video
from orchestrator.steps import pictures
from orchestrator.steps.copying import Stored, fetch

log = structlog.get_logger(__name__)

RETRY_CEILING = 60.0
_CONTAINERS = {"video/mp4": "mp4", "video/x-msvideo": "avi"}


@dataclass(frozen=True, slots=True)
class _Claimed:
    video: Video
    attempt: Attempt
    provider: Provider


def store(ctx: Context, *video_ids: str) -> None:
    """Copy the bytes of these videos, or what was missed of those that are completed. What there is
    nothing to do for, or somebody else does, is passed over.

    Raises:
        Exception: what is neither the provider's nor the storage's fault; that video is taken up
            again when its lease has run out.
    """
    strange: Exception | None = None
    with ctx.leases.hold() as token:
        claimed = _claim(ctx, video_ids, token)
        completed: set[str] = set()
        for lot in ctx.crew.each(claimed, lambda one: _copy(ctx, one)):
            copied = []
            for one, result in lot:
                if isinstance(result, Stored):
                    copied.append((one.video, one.provider, result))
                elif isinstance(result, Stopped):
                    with ctx.database.statement() as connection:
                        polling.snooze(connection, [one.video.id], token=token, due_in=0)
                elif isinstance(result, ProviderError | StorageError):
                    _again(ctx, one.video, one.attempt, token, result)
                else:
                    strange = result
            completed |= {video.id for video in complete(ctx, copied, token)}
    pictured = [o for o in claimed if o.video.id in completed and pictures.offered(o.provider)]
    for _ in ctx.crew.each(
        pictured, lambda one: pictures.add(ctx, one.provider, one.video, one.attempt)
    ):
        pass
    if strange is not None:
        raise strange


def _claim(ctx: Context, video_ids: Sequence[str], token: str) -> list[_Claimed]:
    with ctx.database.transaction() as connection:
        pairs = polling.claim(
            connection, video_ids, Step.STORE, token=token, lease=ctx.leases.seconds
        )
    for video_id in set(video_ids) - {video.id for video, _ in pairs}:
        pictures.add_again(ctx, video_id)
    claimed = []
    for video, attempt in pairs:
        provider = ctx.catalog.provider(video.provider, video.account)
        if provider is None:
            gone = ProviderError("Its provider is configured no longer.")
            _again(ctx, video, attempt, token, gone)
        else:
            claimed.append(_Claimed(video, attempt, provider))
    return claimed


def _copy(ctx: Context, one: _Claimed) -> Stored:
    types = _video_types(one.provider)
    return fetch(ctx, one.provider, one.video, one.attempt, "video", types)


def complete(
    ctx: Context, copied: Sequence[tuple[Video, Provider, Stored]], token: str
) -> list[Video]:
    """The bytes of these are here: completed. What is missing in the answer has moved on; its file
    is swept later.
    """
    if not copied:
        return []
    days = ctx.settings.bytes_kept_days
    movers = []
    for video, provider, stored in copied:
        # Pictures are fetched next; if that fails, or we do, the sweep sees to it.
        follow = pictures.offered(provider)
        values = {
            "file_url": f"/api/videos/{video.id}/download",
            "content_key": stored.key,
            "content_sha256": stored.sha256,
            "content_bytes": stored.size,
            "content_type": stored.media_type,
            "pictures_due_at": PICTURE_WAITS[0] if follow else None,
            "pictures_tries": int(follow),
        }
        data = {"bytes": stored.size, "sha256": stored.sha256}
        movers.append(Mover(video.id, data, values))
    with ctx.database.transaction() as connection:
        completed = transitions.transition_all(
            connection,
            movers,
            COMPLETE,
            guard="v.lease_token = :token and v.step = 'store'",
            params={"token": token},
            values={
                "progress": 100,
                "completed_at": After(0),
                "expires_at": None if days is None else After(days * 86_400),
            },
            settle=QuotaState.KEPT,
        )
    changes.published(ctx, completed)
    return completed


def _again(
    ctx: Context, video: Video, attempt: Attempt, token: str, error: OrchestratorError
) -> None:
    """Try again on the content's own clock; the video itself is never made again for that."""
    expires = attempt.content_expires_at or datetime.now(UTC) + timedelta(hours=1)
    if datetime.now(UTC) >= expires and not isinstance(error, StorageError):
        with ctx.database.transaction() as connection:
            failed = transitions.fail(
                connection,
                video.id,
                code="content_lost",
                message="The provider made this video, but it could not be fetched in time.",
                guard="v.lease_token = :token",
                token=token,
            )
        if failed is not None:
            changes.published(ctx, [failed])
        return
    wait = backoff(
        ctx.settings.retry_base_seconds, video.failures + 1, ctx.dice(), ceiling=RETRY_CEILING
    )
    asked = error.retry_after if isinstance(error, ProviderError) else None
    with ctx.database.statement() as connection:
        polling.snooze(
            connection, [video.id], token=token, due_in=max(wait, min(asked or 0, 300)), failed=True
        )
    log.warning("store_failed", video_id=video.id, reason=error.code, failures=video.failures + 1)


def _video_types(provider: Provider) -> frozenset[str]:
    return frozenset(
        media_type
        for media_type, container in _CONTAINERS.items()
        if container in provider.profile.containers
    )
