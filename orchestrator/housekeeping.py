"""Housekeeping: what nobody is owed any longer goes, a bounded batch at a time. Repeating it is
harmless.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from orchestrator.context import Context
from orchestrator.db import housekeeping as rows
from orchestrator.db import transitions
from orchestrator.db.transitions import After
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import EventType
from orchestrator.records import Video

log = structlog.get_logger(__name__)

BATCH = 200
KEY_DAYS = 7.0
ORPHAN_AGE = timedelta(days=1)


def tidy(ctx: Context) -> dict[str, int]:
    """One round of everything; returns how many of each went."""
    return {
        "contents": _purge(ctx),
        "orphans": _sweep_orphans(ctx),
        "inputs": _sweep_inputs(ctx),
        "keys": _forget_keys(ctx),
        "events": _prune_events(ctx),
    }


def _purge(ctx: Context) -> int:
    """Remove the bytes of deleted and expired videos: the files first, so that a row never claims
    less than there is.
    """
    with ctx.database.statement() as connection:
        due = rows.expired_content(
            connection, deleted_days=ctx.settings.deleted_retention_days, limit=BATCH
        )
    for video in due:
        _purge_one(ctx, video)
    return len(due)


def _purge_one(ctx: Context, video: Video) -> None:
    for key in (video.content_key, video.thumbnail_key, video.spritesheet_key):
        if key is not None:
            ctx.storage.delete(key)
    with ctx.database.transaction() as connection:
        transitions.record(
            connection,
            video.id,
            EventType.PURGED,
            guard="v.purged_at is null",
            values={"purged_at": After(0), "file_url": None, "thumbnail_url": None},
        )
    ctx.cache.invalidate_video(video.id)


def _sweep_orphans(ctx: Context) -> int:
    """Remove files that no row names: copies that lost a race, or whose recording never
    happened.
    """
    before = datetime.now(UTC) - ORPHAN_AGE
    keys = [found.key for found in ctx.storage.list("videos/", older_than=before, limit=BATCH * 5)]
    with ctx.database.statement() as connection:
        used = rows.content_in_use(connection, keys)
    return _delete_all(ctx, [key for key in keys if key not in used])


def _sweep_inputs(ctx: Context) -> int:
    before = datetime.now(UTC) - ORPHAN_AGE
    keys = [found.key for found in ctx.storage.list("inputs/", older_than=before, limit=BATCH * 5)]
    with ctx.database.statement() as connection:
        used = rows.inputs_in_use(connection, keys)
    return _delete_all(ctx, [key for key in keys if key not in used])


def _delete_all(ctx: Context, keys: list[str]) -> int:
    for key in keys[:BATCH]:
        try:
            ctx.storage.delete(key)
        except OrchestratorError as error:
            log.warning("orphan_stays", key=key, reason=error.code)
    return len(keys[:BATCH])


def _forget_keys(ctx: Context) -> int:
    with ctx.database.statement() as connection:
        return rows.forget_keys(connection, days=KEY_DAYS, limit=BATCH)


def _prune_events(ctx: Context) -> int:
    days = ctx.settings.event_retention_days
    if days is None:
        return 0
    with ctx.database.statement() as connection:
        return rows.prune_events(connection, days=days, limit=BATCH)
