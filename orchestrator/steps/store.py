"""Store: copy finished videos into our own storage, checked, and only then call them completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter

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


@dataclass(frozen=True, slots=True)
class Copied:
    """A video whose bytes are here, copied by whoever has this lease."""

    video: Video
    provider: Provider
    stored: Stored
    token: str


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
        pictured = []
        for one, outcome in ctx.crew.settle(
            claimed,
            lambda one: _bring(ctx, one, token),
            partial(complete_all, ctx),
            name="complete",
        ):
            if isinstance(outcome, Stopped):
                with ctx.database.statement() as connection:
                    polling.snooze(connection, [one.video.id], token=token, due_in=0)
            elif isinstance(outcome, Exception):
                strange = outcome
            elif outcome and pictures.offered(one.provider):
                pictured.append(one)
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


def _bring(ctx: Context, one: _Claimed, token: str) -> Copied | None:
    """Copy the bytes; None if they did not come, which is recorded here."""
    began = perf_counter()
    try:
        types = _video_types(one.provider)
        stored = fetch(ctx, one.provider, one.video, one.attempt, "video", types)
    except (ProviderError, StorageError) as error:
        _again(ctx, one.video, one.attempt, token, error)
        return None
    log.info(
        "copied",
        video_id=one.video.id,
        attempt=one.attempt.n,
        user_id=one.video.user_id,
        provider=one.provider.name,
        bytes=stored.size,
        ms=round(1000 * (perf_counter() - began), 2),
    )
    return Copied(one.video, one.provider, stored, token)


def complete_all(ctx: Context, copied: Sequence[Copied]) -> list[bool]:
    """The bytes of these are here: completed. Returns of each whether it is; if not it has moved
    on, and its file is swept later.
    """
    days = ctx.settings.bytes_kept_days
    with ctx.database.transaction() as connection:
        completed = transitions.transition_all(
            connection,
            [_mover(one) for one in copied],
            COMPLETE,
            guard="v.lease_token = e.token and v.step = 'store'",
            values={
                "progress": 100,
                "completed_at": After(0),
                "expires_at": None if days is None else After(days * 86_400),
            },
            settle=QuotaState.KEPT,
        )
    changes.published(ctx, completed)
    ids = {video.id for video in completed}
    return [one.video.id in ids for one in copied]


def _mover(one: Copied) -> Mover:
    # Pictures are fetched next; if that fails, or we do, the sweep sees to it.
    follow = pictures.offered(one.provider)
    values = {
        "file_url": f"/api/videos/{one.video.id}/download",
        "content_key": one.stored.key,
        "content_sha256": one.stored.sha256,
        "content_bytes": one.stored.size,
        "content_type": one.stored.media_type,
        "pictures_due_at": PICTURE_WAITS[0] if follow else None,
        "pictures_tries": int(follow),
    }
    data = {"bytes": one.stored.size, "sha256": one.stored.sha256}
    return Mover(one.video.id, data, values, one.token)


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
