"""Pictures: the thumbnail and spritesheet of a completed video. Nobody waits for these, so a fault
costs no more than a few further tries, which the sweep rings for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from orchestrator import changes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import pictures as rows
from orchestrator.db import transitions
from orchestrator.errors import ProviderError, StorageError
from orchestrator.lifecycle import EventType
from orchestrator.policies import PICTURE_WAITS
from orchestrator.records import Attempt, Video
from orchestrator.steps.copying import fetch

log = structlog.get_logger(__name__)

_VARIANTS = frozenset({"thumbnail", "spritesheet"})
_TYPES = frozenset({"image/webp", "image/jpeg", "image/png"})


def offered(provider: Provider) -> bool:
    """Whether a provider has pictures of its videos."""
    return bool(provider.profile.variants & _VARIANTS)


def add_again(ctx: Context, video_id: str) -> None:
    """Try once more. Returns quietly if nothing is missing, or somebody else is at it."""
    with ctx.database.transaction() as connection:
        claimed = rows.claim(connection, video_id, waits=PICTURE_WAITS)
    if claimed is None:
        return
    video, attempt = claimed
    provider = ctx.catalog.provider(attempt.provider, attempt.account)
    expires = attempt.content_expires_at
    if provider is None or (expires is not None and expires < datetime.now(UTC)):
        with ctx.database.statement() as connection:
            rows.give_up(connection, video_id)
        return
    add(ctx, provider, video, attempt)


def add(ctx: Context, provider: Provider, video: Video, attempt: Attempt) -> None:
    """Copy those that the provider has and we have not."""
    values: dict[str, str | None] = {}
    missing = 0
    kept = {"thumbnail": video.thumbnail_key, "spritesheet": video.spritesheet_key}
    for variant in sorted(provider.profile.variants & _VARIANTS):
        if kept[variant] is not None:
            continue
        try:
            stored = fetch(ctx, provider, video, attempt, variant, _TYPES)
        except (ProviderError, StorageError) as error:
            log.info("picture_missing", video_id=video.id, variant=variant, reason=error.code)
            missing += 1
        else:
            values[f"{variant}_key"] = stored.key
    if values:
        _record(ctx, video, values, complete=not missing)


def _record(ctx: Context, video: Video, values: dict[str, str | None], *, complete: bool) -> None:
    if "thumbnail_key" in values:
        values["thumbnail_url"] = f"/api/videos/{video.id}/thumbnail"
    if complete:
        values["pictures_due_at"] = None
    # A slow copy and the next try may come to the same end: it is told once.
    fresh = "".join(f" and v.{name} is null" for name in values if name.endswith("_key"))
    with ctx.database.transaction() as connection:
        changed = transitions.record(
            connection,
            video.id,
            EventType.THUMBNAIL_READY,
            guard=f"v.status = 'completed' and v.purged_at is null{fresh}",
            values=values,
        )
    if changed is not None:
        changes.published(ctx, [changed])
