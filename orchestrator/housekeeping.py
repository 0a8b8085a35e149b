"""Housekeeping: what nobody is owed any longer goes, a bounded batch at a time. Repeating it is
harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import changes
from orchestrator.context import Context
from orchestrator.db import audit, deliveries, receipts, targets, transitions
from orchestrator.db import housekeeping as rows
from orchestrator.db.engine import Connection
from orchestrator.db.transitions import After
from orchestrator.errors import StorageError
from orchestrator.ids import first_id_of
from orchestrator.lifecycle import EventType
from orchestrator.records import Video
from orchestrator.settings import QUIET_DAYS

log = structlog.get_logger(__name__)

BATCH = 200
VIDEOS = 1000
ROWS = 5000
LISTED = 10_000
KEY_DAYS = 7.0
RECEIPT_DAYS = 7.0
DELIVERY_DAYS = 30.0
RECEIVER_DAYS = 1.0
ORPHAN_AGE = timedelta(days=1)


def tidy(ctx: Context, places: dict[str, str] | None = None) -> dict[str, int]:
    """One round of everything; returns how many of each went.

    Args:
        places: where the last round stopped among the videos, the events, and in each folder of the
            storage; this one goes on there and notes where it stopped. Without it, a round begins
            at the beginning.
    """
    places = {} if places is None else places
    return {
        **prune(ctx, places),
        "orphans": _sweep_orphans(ctx, places, "videos/", rows.content_in_use),
        "inputs": _sweep_orphans(ctx, places, "inputs/", rows.inputs_in_use),
    }


def prune(ctx: Context, places: dict[str, str]) -> dict[str, int]:
    """A round as `tidy` makes it, but for the search of the storage for what no row names: that is
    no hurry, and costs requests.
    """
    return {
        "videos": _prune_videos(ctx, places),
        "contents": _purge(ctx),
        "keys": _forget_keys(ctx),
        "events": _prune_events(ctx, places),
        "deliveries": _prune_deliveries(ctx),
        "receivers": _forget_receivers(ctx),
        "receipts": _forget_receipts(ctx),
        "acts": _prune_acts(ctx),
    }


def behind(gone: dict[str, int], places: dict[str, str]) -> bool:
    """Whether the round that made `gone` and `places` has left something that could go at once."""
    full = (count >= (BATCH if kind == "contents" else ROWS) for kind, count in gone.items())
    return any(full) or any(places.get(kind) for kind in ("videos", "events"))


def _prune_videos(ctx: Context, places: dict[str, str]) -> int:
    """Videos that ended long ago. Their bytes go as those of expired ones do, and are told of, a
    week before the rest: so a row never claims what is not there, nor a file what is in no row.
    """
    days = ctx.settings.video_retention_days
    if days is None:
        return 0
    with ctx.database.transaction() as connection:
        pruned = rows.prune_videos(
            connection,
            days=days,
            quiet=QUIET_DAYS,
            after=places.get("videos", ""),
            before=first_id_of(datetime.now(UTC) - timedelta(days=days + QUIET_DAYS)),
            limit=VIDEOS,
        )
    places["videos"] = pruned.place
    ctx.cache.invalidate_videos(pruned.video_ids)
    return len(pruned.video_ids)


def _purge(ctx: Context) -> int:
    """Remove the bytes of deleted and expired videos: the files first, so that a row never claims
    less than there is.
    """
    with ctx.database.statement() as connection:
        due = rows.expired_content(
            connection, deleted_days=ctx.settings.deleted_retention_days, limit=BATCH
        )
    return sum(_purge_one(ctx, video) for video in due)


def _purge_one(ctx: Context, video: Video) -> bool:
    """Whether its bytes are gone now: a file that cannot be removed must not keep the others."""
    try:
        for key in (video.content_key, video.thumbnail_key, video.spritesheet_key):
            if key is not None:
                ctx.storage.delete(key)
    except StorageError as error:
        log.warning("content_stays", video_id=video.id, reason=error.message)
        return False
    with ctx.database.transaction() as connection:
        purged = transitions.record(
            connection,
            video.id,
            EventType.PURGED,
            guard="v.purged_at is null",
            values={"purged_at": After(0), "file_url": None, "thumbnail_url": None},
        )
    if purged is not None:
        changes.published(ctx, [purged])
    return purged is not None


def _sweep_orphans(
    ctx: Context,
    places: dict[str, str],
    folder: str,
    in_use: Callable[[Connection, Sequence[str]], set[str]],
) -> int:
    """Remove files that no row names: copies that lost a race, or whose recording never
    happened.
    """
    before = datetime.now(UTC) - ORPHAN_AGE
    found = list(ctx.storage.list(folder, after=places.get(folder, ""), limit=LISTED))
    # A round that saw only files in use must not look at the same ones again the next time.
    places[folder] = found[-1].key if len(found) == LISTED else ""
    keys = [info.key for info in found if info.modified_at < before]
    with ctx.database.statement() as connection:
        used = in_use(connection, keys)
    return sum(_delete(ctx, key) for key in keys if key not in used)


def _delete(ctx: Context, key: str) -> bool:
    try:
        ctx.storage.delete(key)
    except StorageError as error:
        log.warning("orphan_stays", key=key, reason=error.message)
        return False
    return True


def _forget_keys(ctx: Context) -> int:
    with ctx.database.statement() as connection:
        return rows.forget_keys(connection, days=KEY_DAYS, limit=ROWS)


def _prune_events(ctx: Context, places: dict[str, str]) -> int:
    days = ctx.settings.event_retention_days
    if days is None:
        return 0
    with ctx.database.statement() as connection:
        pruned, places["events"] = rows.prune_events(
            connection, days=days, after=places.get("events", ""), limit=ROWS
        )
    return pruned


def _prune_deliveries(ctx: Context) -> int:
    with ctx.database.statement() as connection:
        return deliveries.prune(connection, days=DELIVERY_DAYS, limit=ROWS)


def _forget_receivers(ctx: Context) -> int:
    with ctx.database.statement() as connection:
        return targets.prune(connection, days=RECEIVER_DAYS, limit=ROWS)


def _forget_receipts(ctx: Context) -> int:
    with ctx.database.statement() as connection:
        return receipts.forget(connection, days=RECEIPT_DAYS, limit=ROWS)


def _prune_acts(ctx: Context) -> int:
    days = ctx.settings.audit_retention_days
    if days is None:
        return 0
    with ctx.database.statement() as connection:
        return audit.prune(connection, days=days, limit=ROWS)
