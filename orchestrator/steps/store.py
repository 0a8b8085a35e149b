"""Store: copy a finished video into our own storage, checked, and only then call it completed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import changes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import polling, transitions
from orchestrator.db.transitions import After
from orchestrator.errors import OrchestratorError, ProviderError, StorageError
from orchestrator.lifecycle import COMPLETE, QuotaState, Step
from orchestrator.policies import PICTURE_WAITS, backoff
from orchestrator.records import Attempt, Video
from orchestrator.steps import pictures
from orchestrator.steps.copying import Stored, fetch

log = structlog.get_logger(__name__)

RETRY_CEILING = 60.0
_CONTAINERS = {"video/mp4": "mp4", "video/x-msvideo": "avi"}


def store(ctx: Context, video_id: str) -> None:
    """Copy one video's bytes, or what was missed of one that is completed. Returns quietly if there
    is nothing to do or somebody else does it.
    """
    with ctx.leases.hold() as token:
        with ctx.database.transaction() as connection:
            claimed = polling.claim(
                connection, [video_id], Step.STORE, token=token, lease=ctx.leases.seconds
            )
        if not claimed:
            pictures.add_again(ctx, video_id)
            return
        ((video, attempt),) = claimed
        provider = ctx.catalog.provider(video.provider, video.account)
        if provider is None:
            _again(
                ctx, video, attempt, token, ProviderError("Its provider is configured no longer.")
            )
            return

        try:
            stored = fetch(ctx, provider, video, attempt, "video", _video_types(provider))
        except (ProviderError, StorageError) as error:
            _again(ctx, video, attempt, token, error)
            return

        follow = pictures.offered(provider)
        completed = complete(ctx, video, stored, token, pictures_follow=follow)
        if completed is not None and follow:
            pictures.add(ctx, provider, video, attempt)


def complete(
    ctx: Context, video: Video, stored: Stored, token: str, *, pictures_follow: bool
) -> Video | None:
    """The bytes are here: completed. None: the video has moved on; its file is swept later.

    Args:
        pictures_follow: they are fetched next; if that fails, or we do, the sweep sees to it.
    """
    days = ctx.settings.content_retention_days
    with ctx.database.transaction() as connection:
        completed = transitions.transition(
            connection,
            video.id,
            COMPLETE,
            guard="v.lease_token = :token and v.step = 'store'",
            params={"token": token},
            values={
                "progress": 100,
                "completed_at": After(0),
                "expires_at": None if days is None else After(days * 86_400),
                "file_url": f"/api/videos/{video.id}/download",
                "content_key": stored.key,
                "content_sha256": stored.sha256,
                "content_bytes": stored.size,
                "content_type": stored.media_type,
                "pictures_due_at": After(PICTURE_WAITS[0]) if pictures_follow else None,
                "pictures_tries": int(pictures_follow),
            },
            data={"bytes": stored.size, "sha256": stored.sha256},
            settle=QuotaState.KEPT,
        )
    if completed is not None:
        changes.published(ctx, [completed])
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
