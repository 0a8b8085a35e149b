"""Store: copy a finished video into our own storage, checked, and only then call it completed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import changes, media
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import polling, transitions
from orchestrator.db.transitions import After
from orchestrator.errors import ContentInvalid, OrchestratorError, ProviderError, StorageError
from orchestrator.lifecycle import COMPLETE, EventType, QuotaState, Step
from orchestrator.policies import backoff
from orchestrator.records import Attempt, Video

log = structlog.get_logger(__name__)

RETRY_CEILING = 60.0
EXTENSIONS = {
    "video/mp4": "mp4",
    "video/x-msvideo": "avi",
    "image/webp": "webp",
    "image/jpeg": "jpg",
    "image/png": "png",
}
_CONTAINERS = {"video/mp4": "mp4", "video/x-msvideo": "avi"}
_IMAGES = frozenset({"image/webp", "image/jpeg", "image/png"})


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that lie in our storage."""

    key: str
    sha256: str
    size: int
    media_type: str


def store(ctx: Context, video_id: str) -> None:
    """Copy one video's bytes. Returns quietly if there is nothing to do or somebody else
    does it.
    """
    with ctx.leases.hold() as token:
        with ctx.database.transaction() as connection:
            claimed = polling.claim(
                connection, [video_id], Step.STORE, token=token, lease=ctx.leases.seconds
            )
        if not claimed:
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

        if complete(ctx, video, stored, token) is not None:
            _add_pictures(ctx, provider, video, attempt)


def fetch(
    ctx: Context,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    variant: str,
    accepted: frozenset[str],
) -> Stored:
    """Stream one variant into the storage. Its key holds its hash, so two copies of a video cannot
    mix.

    Raises:
        ContentInvalid: what came is none of the accepted types.
        ProviderError: it did not come, or not to the end.
        StorageError: it could not be kept.
    """
    client = ctx.pool.get(provider)
    source = attempt.provider_video_id or ""
    with client.download(source, variant) as download, ctx.storage.stage() as staged:
        for chunk in download.chunks:
            staged.write(chunk)
        media_type = media.sniff(staged.head)
        if media_type not in accepted:
            raise ContentInvalid(
                f"The provider sent {media_type or 'something'} that is no {variant}."
            )
        key = f"videos/{video.id}/{staged.sha256}.{EXTENSIONS[media_type]}"
        staged.commit(key, media_type)
        return Stored(key, staged.sha256, staged.size, media_type)


def complete(ctx: Context, video: Video, stored: Stored, token: str) -> Video | None:
    """The bytes are here: completed. None: the video has moved on; its file is swept later."""
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


def _add_pictures(ctx: Context, provider: Provider, video: Video, attempt: Attempt) -> None:
    """Thumbnail and spritesheet, if the provider has them: nobody waits for these."""
    values: dict[str, str] = {}
    for variant in sorted(provider.profile.variants & {"thumbnail", "spritesheet"}):
        try:
            stored = fetch(ctx, provider, video, attempt, variant, _IMAGES)
        except (ProviderError, StorageError) as error:
            log.info("picture_missing", video_id=video.id, variant=variant, reason=error.code)
            continue
        values[f"{variant}_key"] = stored.key
    if not values:
        return
    if "thumbnail_key" in values:
        values["thumbnail_url"] = f"/api/videos/{video.id}/thumbnail"
    with ctx.database.transaction() as connection:
        changed = transitions.record(
            connection,
            video.id,
            EventType.THUMBNAIL_READY,
            guard="v.status = 'completed' and v.purged_at is null",
            values=values,
        )
    if changed is not None:
        changes.published(ctx, [changed])


def _video_types(provider: Provider) -> frozenset[str]:
    return frozenset(
        media_type
        for media_type, container in _CONTAINERS.items()
        if container in provider.profile.containers
    )
