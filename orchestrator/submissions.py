"""Asking for videos: create, remix, edit, extend, retry. Quota, video, first events and idempotency
key are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from orchestrator import endpoints
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import videos
from orchestrator.errors import Conflict, Gone, NotFound, Unsupported
from orchestrator.fingerprints import fingerprint
from orchestrator.ids import is_video_id
from orchestrator.intake import accept
from orchestrator.lifecycle import EventType, Kind, Status
from orchestrator.records import Caller, Video
from orchestrator.shapes import shape
from orchestrator.wishes import Key, VideoRequest, Wish, completed, prepare


@dataclass(frozen=True, slots=True)
class Submitted:
    """The video that answers a submission; `replayed` if an earlier one with the same key made
    it, `sdk_retry` if that was an earlier try of the same SDK call. `text`: as `GET` shows it,
    where that was made already.
    """

    video: Video
    replayed: bool = False
    sdk_retry: bool = False
    text: bytes | None = None


def create(
    ctx: Context, caller: Caller, request: VideoRequest, *, key: Key | None = None
) -> Submitted:
    """Accept one video: when this returns, it is committed and will be driven to its end.

    Raises:
        InvalidRequest, Unsupported: the request breaks a rule; the message names the field.
        QuotaExceeded: the month's videos or money are spent.
        IdempotencyKeyReused: the key was used with another request.
    """
    return _submit(ctx, prepare(ctx, caller, request, key=key))


def remix(
    ctx: Context,
    caller: Caller,
    source_id: str,
    prompt: str,
    *,
    webhook_url: str | None = None,
    key: Key | None = None,
) -> Submitted:
    """Ask for a variation of a finished video, at the provider that made it.

    Raises:
        NotFound: no such video of this user.
        Unsupported: its provider offers no such thing.
        Conflict: it is not finished (`not_completed`), or its provider is gone (`provider_gone`).
        InvalidRequest, QuotaExceeded, IdempotencyKeyReused: as for `create`.
    """
    if webhook_url is not None:
        endpoints.check_url(ctx, webhook_url, param="webhook_url")
    told = {} if webhook_url is None else {"webhook_url": webhook_url}
    wish = _derived(ctx, caller, Kind.REMIX, source_id, prompt, columns=told, key=key)
    return _submit(ctx, wish)


def edit(
    ctx: Context, caller: Caller, source_id: str, prompt: str, *, key: Key | None = None
) -> Submitted:
    """Ask for a changed version of a finished video; raises as `remix` does."""
    return _submit(ctx, _derived(ctx, caller, Kind.EDIT, source_id, prompt, key=key))


def extend(
    ctx: Context,
    caller: Caller,
    source_id: str,
    prompt: str,
    seconds: str,
    *,
    key: Key | None = None,
) -> Submitted:
    """Ask for a finished video with so many more seconds; raises as `remix` does."""
    wish = _derived(ctx, caller, Kind.EXTENSION, source_id, prompt, added=seconds, key=key)
    return _submit(ctx, wish)


def retry(ctx: Context, caller: Caller, video_id: str, *, key: Key | None = None) -> Submitted:
    """Ask again for a failed or cancelled video: a new one, linked by `retry_of`.

    Raises:
        NotFound: no such video of this user.
        Conflict: it neither failed nor was cancelled (`not_retryable`), or a retry is under way
        (`retry_exists`).
        QuotaExceeded, InvalidRequest, Unsupported, IdempotencyKeyReused: as for `create`.
    """
    source = _owned(ctx, caller, video_id)
    if source.status not in {Status.FAILED, Status.CANCELLED}:
        raise Conflict(
            f"Only a failed or cancelled video can be retried; this one is {source.status}.",
            code="not_retryable",
        )
    provider, cost, able = _offer(ctx, source)
    row = {name: getattr(source, name) for name in _KEPT_BY_RETRY}
    row |= {"metadata": dict(source.metadata), "retry_of": source.id, "candidates": able}
    told = {"model": source.model, "prompt": source.prompt, "retry_of": source.id}
    events = [(EventType.CREATED, told), (EventType.RETRIED, {"retry_of": source.id})]
    return _submit(ctx, completed(caller, provider, row, cost, events, key=key))


def _offer(ctx: Context, source: Video) -> tuple[Provider, Decimal, Sequence[str] | None]:
    """Who would make this video again, at what price, and who might instead."""
    has_image = source.input_key is not None
    if source.kind == Kind.CREATE:
        found = shape(
            ctx.catalog,
            model=source.model,
            seconds=source.seconds,
            size=source.size,
            prompt=source.prompt,
            has_image=has_image,
        )
        return found.provider, found.cost, found.candidates
    provider = ctx.provider(source.provider, source.account)
    rendered = source.extension_seconds or source.seconds
    ctx.catalog.check(
        provider,
        model=source.model,
        seconds=rendered,
        size=source.size,
        prompt=source.prompt,
        has_image=has_image,
        kind=source.kind,
    )
    return provider, ctx.catalog.price(provider, source.model, source.size, rendered), None


_KEPT_BY_RETRY = (
    "kind",
    "prompt",
    "model",
    "size",
    "seconds",
    "extension_seconds",
    "fingerprint",
    "quality",
    "priority",
    "remixed_from_video_id",
    "webhook_url",
    "input_key",
    "input_sha256",
    "input_bytes",
    "input_type",
)


_DONE_TO = {Kind.REMIX: "remixed", Kind.EDIT: "edited", Kind.EXTENSION: "extended"}


def _derived(
    ctx: Context,
    caller: Caller,
    kind: Kind,
    source_id: str,
    prompt: str,
    *,
    added: str | None = None,
    columns: Mapping[str, Any] = MappingProxyType({}),
    key: Key | None,
) -> Wish:
    """The wish of a video that builds on another one; that decides everything but the prompt, the
    seconds that are added and these `columns`.
    """
    if not ctx.catalog.offers(kind):
        raise Unsupported(f"No provider here offers the {kind} of a video.")
    source = _owned(ctx, caller, source_id)
    provider = ctx.provider(source.provider, source.account)
    rendered = source.seconds if added is None else added
    _check_derived(ctx, provider, source, kind, prompt, rendered)
    body = {
        "kind": kind,
        "prompt": prompt,
        "model": source.model,
        "size": source.size,
        "seconds": source.seconds if added is None else str(int(source.seconds) + int(added)),
        "remixed_from_video_id": source.id,
        "quality": source.quality,
        **columns,
    }
    row = {**body, "extension_seconds": added, "fingerprint": fingerprint(body)}
    cost = ctx.catalog.price(provider, source.model, source.size, rendered)
    told = {name: body[name] for name in ("model", "prompt", "seconds", "size")}
    events = [(EventType.CREATED, told)]
    if kind == Kind.REMIX:
        events.append((EventType.REMIXED, {"source_video_id": source.id, "prompt": prompt}))
    return completed(caller, provider, row, cost, events, key=key)


def _check_derived(
    ctx: Context, provider: Provider, source: Video, kind: Kind, prompt: str, seconds: str
) -> None:
    ctx.catalog.check(
        provider,
        model=source.model,
        seconds=seconds,
        size=source.size,
        prompt=prompt,
        kind=kind,
    )
    if source.status != Status.COMPLETED:
        raise Conflict(
            f"Only a completed video can be {_DONE_TO[kind]}; this one is {source.status}.",
            code="not_completed",
        )


def _submit(ctx: Context, wish: Wish) -> Submitted:
    outcome = accept(ctx, wish)
    if isinstance(outcome, Exception):
        raise outcome
    if outcome.video is None:
        raise Gone("The video that this Idempotency-Key has made was removed.")
    return Submitted(outcome.video, outcome.replayed, outcome.sdk_retry)


def _owned(ctx: Context, caller: Caller, video_id: str) -> Video:
    """A video of this caller that is not deleted."""
    video = None
    if is_video_id(video_id):
        with ctx.database.statement() as connection:
            video = videos.get(connection, video_id)
    if video is None or video.user_id != caller.user_id or video.status == Status.DELETED:
        raise NotFound("There is no such video.")
    return video
