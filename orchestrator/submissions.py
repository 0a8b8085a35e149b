"""Asking for videos: create, remix, retry. Quota, video, first events and idempotency key are one
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from orchestrator import changes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import videos
from orchestrator.errors import Conflict, Gone, InvalidRequest, NotFound
from orchestrator.fingerprints import fingerprint
from orchestrator.ids import is_video_id, new_video_id
from orchestrator.ledger import IdempotencyKey, Wish, write
from orchestrator.lifecycle import EventType, Kind, Status
from orchestrator.media import sniff
from orchestrator.records import Caller, Video

DEFAULT_MODEL = "sora-2"
MAX_INPUT_BYTES = 20 * 1024 * 1024
_INPUT_TYPES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class InputFile:
    """A reference image as it was sent."""

    data: bytes = field(repr=False)
    filename: str = "input_reference"


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """What a caller asks for; None takes the default of the model."""

    prompt: str
    model: str | None = None
    seconds: str | None = None
    size: str | None = None
    quality: str | None = None
    input_reference: InputFile | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    run_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The video that answers a submission; `replayed` if an earlier one with the same
    key made it.
    """

    video: Video
    replayed: bool = False


def create(
    ctx: Context, caller: Caller, request: VideoRequest, *, key: IdempotencyKey | None = None
) -> Submitted:
    """Accept one video: when this returns, it is committed and will be driven to its end.

    Raises:
        InvalidRequest, Unsupported: the request breaks a rule; the message names the field.
        QuotaExceeded: the month's videos or money are spent.
        IdempotencyKeyReused: the key was used with another request.
    """
    return _submit(ctx, prepare(ctx, caller, request, key=key))


def prepare(
    ctx: Context, caller: Caller, request: VideoRequest, *, key: IdempotencyKey | None = None
) -> Wish:
    """Check a request and keep its image: everything that need not be in the transaction."""
    model = request.model or _default_model(ctx)
    provider = ctx.catalog.route(model)
    seconds = request.seconds or provider.profile.seconds.default
    size = request.size or provider.profile.sizes.default(model)
    ctx.catalog.check(
        provider,
        model=model,
        seconds=seconds,
        size=size,
        prompt=request.prompt,
        has_image=request.input_reference is not None,
    )
    image = _keep_image(ctx, request.input_reference)
    body = {
        "kind": Kind.CREATE,
        "model": model,
        "prompt": request.prompt,
        "seconds": seconds,
        "size": size,
        "quality": request.quality,
        "metadata": dict(request.metadata),
        "priority": request.priority,
        "run_at": request.run_at,
        "input_sha256": image.get("input_sha256"),
    }
    row = {**body, **image, "fingerprint": fingerprint(body)}
    created = {"model": model, "prompt": request.prompt, "seconds": seconds, "size": size}
    return _wish(ctx, caller, provider, row, [(EventType.CREATED, created)], key)


def remix(
    ctx: Context, caller: Caller, source_id: str, prompt: str, *, key: IdempotencyKey | None = None
) -> Submitted:
    """Ask for a variation of a finished video, at the provider that made it.

    Raises:
        NotFound: no such video of this user.
        Conflict: it is not finished (`not_completed`), or its provider is gone (`provider_gone`).
        InvalidRequest, Unsupported, QuotaExceeded, IdempotencyKeyReused: as for `create`.
    """
    source = _owned(ctx, caller, source_id)
    if source.status != Status.COMPLETED:
        raise Conflict(
            f"Only a completed video can be remixed; this one is {source.status}.",
            code="not_completed",
        )
    provider = ctx.provider(source.provider, source.account)
    ctx.catalog.check(
        provider,
        model=source.model,
        seconds=source.seconds,
        size=source.size,
        prompt=prompt,
        kind=Kind.REMIX,
    )
    row = _like(source, kind=Kind.REMIX, prompt=prompt)
    row |= {"remixed_from_video_id": source.id, "quality": source.quality}
    row["fingerprint"] = fingerprint(row)
    told = {"source_video_id": source.id, "prompt": prompt}
    created = {
        "model": source.model,
        "prompt": prompt,
        "seconds": source.seconds,
        "size": source.size,
    }
    events = [(EventType.CREATED, created), (EventType.REMIXED, told)]
    return _submit(ctx, _wish(ctx, caller, provider, row, events, key))


def retry(
    ctx: Context, caller: Caller, video_id: str, *, key: IdempotencyKey | None = None
) -> Submitted:
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
    remixed = source.kind == Kind.REMIX
    provider = (
        ctx.provider(source.provider, source.account)
        if remixed
        else ctx.catalog.route(source.model)
    )
    ctx.catalog.check(
        provider,
        model=source.model,
        seconds=source.seconds,
        size=source.size,
        prompt=source.prompt,
        has_image=source.input_key is not None,
        kind=source.kind,
    )
    row = _like(source, kind=source.kind, prompt=source.prompt)
    row |= {name: getattr(source, name) for name in _KEPT_BY_RETRY}
    row |= {
        "metadata": dict(source.metadata),
        "retry_of": source.id,
        "fingerprint": source.fingerprint,
    }
    created = {"model": source.model, "prompt": source.prompt, "retry_of": source.id}
    events = [(EventType.CREATED, created), (EventType.RETRIED, {"retry_of": source.id})]
    return _submit(ctx, _wish(ctx, caller, provider, row, events, key))


_KEPT_BY_RETRY = (
    "quality",
    "priority",
    "remixed_from_video_id",
    "webhook_url",
    "input_key",
    "input_sha256",
    "input_bytes",
    "input_type",
)


def _submit(ctx: Context, wish: Wish) -> Submitted:
    with ctx.database.transaction() as connection:
        (outcome,) = write(ctx.catalog, connection, [wish])
        if isinstance(outcome, Exception):
            raise outcome
    if outcome.video is None:
        raise Gone("The video that this Idempotency-Key has made was removed.")
    if not outcome.replayed:
        changes.published(ctx, [outcome.video])
        changes.ring_submits(ctx, [outcome.video])
    return Submitted(outcome.video, replayed=outcome.replayed)


def _wish(
    ctx: Context,
    caller: Caller,
    provider: Provider,
    row: Mapping[str, Any],
    events: Sequence[tuple[EventType, Mapping[str, Any]]],
    key: IdempotencyKey | None,
) -> Wish:
    cost = _dearest(ctx, provider, row)
    complete = {
        **{name: value for name, value in row.items() if name != "cost_estimated"},
        "metadata": row.get("metadata", {}),
        "priority": row.get("priority", 0),
        "id": new_video_id(),
        "user_id": caller.user_id,
        "api_key_id": caller.api_key_id,
        "provider": provider.name,
        "account": provider.account,
        "cost_estimated": cost,
        "events": [{"type": kind, "data": data} for kind, data in events],
    }
    return Wish(row=complete, cost=Decimal(cost), key=key)


def _dearest(ctx: Context, provider: Provider, row: Mapping[str, Any]) -> Decimal:
    """The price to reserve: a fallback may serve a create in the end, and may cost more."""
    able = [provider]
    if row["kind"] == Kind.CREATE:
        able += ctx.catalog.candidates(row["model"])
    return max(
        ctx.catalog.price(candidate, row["model"], row["size"], row["seconds"])
        for candidate in able
    )


def _like(source: Video, *, kind: str, prompt: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "prompt": prompt,
        "model": source.model,
        "size": source.size,
        "seconds": source.seconds,
    }


def _owned(ctx: Context, caller: Caller, video_id: str) -> Video:
    """A video of this caller that is not deleted."""
    video = None
    if is_video_id(video_id):
        with ctx.database.statement() as connection:
            video = videos.get(connection, video_id)
    if video is None or video.user_id != caller.user_id or video.status == Status.DELETED:
        raise NotFound("There is no such video.")
    return video


def _default_model(ctx: Context) -> str:
    return DEFAULT_MODEL if DEFAULT_MODEL in ctx.catalog.models else next(iter(ctx.catalog.models))


def _keep_image(ctx: Context, image: InputFile | None) -> dict[str, Any]:
    """Put the image where the worker finds it: messages carry ids only."""
    if image is None:
        return {}
    if not 1 <= len(image.data) <= MAX_INPUT_BYTES:
        raise InvalidRequest(
            f"input_reference must have 1 to {MAX_INPUT_BYTES} bytes.", param="input_reference"
        )
    media_type = sniff(image.data[:64])
    if media_type not in _INPUT_TYPES:
        raise InvalidRequest(
            f"input_reference must be one of {', '.join(_INPUT_TYPES)}.", param="input_reference"
        )
    digest = sha256(image.data).hexdigest()
    key = f"inputs/{digest}.{_INPUT_TYPES[media_type]}"
    ctx.storage.put(key, [image.data], content_type=media_type)
    return {
        "input_key": key,
        "input_sha256": digest,
        "input_bytes": len(image.data),
        "input_type": media_type,
    }
