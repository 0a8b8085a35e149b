"""Erasing a user: keys, prompts, files, histories and receivers go; of each video stays what it was
and what it cost, under a name that means nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator import endings
from orchestrator.accounts import check_user_id
from orchestrator.context import Context
from orchestrator.db import audit, housekeeping
from orchestrator.db import erasure as rows
from orchestrator.db.audit import Action
from orchestrator.errors import NotFound
from orchestrator.ids import uuid7_hex
from orchestrator.lifecycle import Status
from orchestrator.records import Caller, Video

BATCH = 50
MAX_BATCHES = 10


@dataclass(frozen=True, slots=True)
class Erased:
    """What went. `complete`: nothing is left here; else ask again. `at_provider`: how many of the
    videos a provider has taken, and keeps for as long as it pleases.
    """

    complete: bool
    keys: int
    videos: int
    at_provider: int


def erase(
    ctx: Context, user_id: str, *, by: Caller | None = None, max_batches: int = MAX_BATCHES
) -> Erased:
    """Erase a user's data, at most `max_batches` batches of videos. Repeating it is harmless and
    goes on where it ended. `by`: who asks for it; None: somebody at the command line.

    What a provider works on is cancelled; what it charges is still watched for.

    Raises:
        InvalidRequest: that cannot be a user's id.
        StorageError: a file could not be removed; its video is still there.
    """
    check_user_id(user_id)
    pseudonym = f"erased_{uuid7_hex()}"
    # The keys first: whoever holds one can ask for nothing more, a second later.
    with ctx.database.transaction() as connection:
        keys = rows.close(connection, user_id)
    videos = at_provider = 0
    left = _batch(ctx, user_id)
    for _ in range(max_batches):
        if not left:
            break
        at_provider += _erase_videos(ctx, user_id, left, pseudonym)
        videos += len(left)
        left = _batch(ctx, user_id)
    with ctx.database.transaction() as connection:
        if not left:
            rows.finish(connection, user_id, pseudonym=pseudonym)
        data = {"complete": not left, "keys": keys, "videos": videos}
        audit.write(connection, by, Action.USER_ERASED, pseudonym, data)
    return Erased(not left, keys, videos, at_provider)


def _batch(ctx: Context, user_id: str) -> list[Video]:
    with ctx.database.statement() as connection:
        return rows.batch(connection, user_id, limit=BATCH)


def _erase_videos(ctx: Context, user_id: str, found: Sequence[Video], pseudonym: str) -> int:
    """Files before rows: a row that is still there is found again."""
    for video in found:
        if video.status != Status.DELETED:
            _delete(ctx, user_id, video)
        for key in (video.content_key, video.thumbnail_key, video.spritesheet_key):
            if key is not None:
                ctx.storage.delete(key)
    ids = [video.id for video in found]
    with ctx.database.transaction() as connection:
        at_provider = rows.at_provider(connection, ids)
        rows.scrub(connection, ids, pseudonym=pseudonym)
    ctx.cache.invalidate_videos(ids)
    inputs = sorted({video.input_key for video in found if video.input_key is not None})
    with ctx.database.statement() as connection:
        used = housekeeping.inputs_in_use(connection, inputs)
    for key in inputs:
        if key not in used:
            ctx.storage.delete(key)
    return at_provider


def _delete(ctx: Context, user_id: str, video: Video) -> None:
    try:
        endings.delete(ctx, Caller(user_id), video.id)
    except NotFound:
        return
