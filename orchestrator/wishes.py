"""What somebody asks for, checked, completed and priced: everything that need not be in the
transaction which writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from time import perf_counter
from typing import Any

from orchestrator import endpoints, fingerprints
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.errors import InvalidRequest
from orchestrator.ids import new_video_id
from orchestrator.lifecycle import EventType, Kind
from orchestrator.media import sniff
from orchestrator.records import Caller
from orchestrator.shapes import Shape, shape

MAX_INPUT_BYTES = 20 * 1024 * 1024
_INPUT_TYPES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
LONGEST_WINDOW = 3600.0
_SDK_PAUSE = 10.0
"""The openai SDK pauses at most 8 s between two tries."""


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
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key, and the route in whose scope it counts."""

    value: str
    route: str


@dataclass(frozen=True, slots=True)
class SdkTry:
    """One try of a call of the openai SDK, which sends no Idempotency-Key: 0 is its first request,
    n its n-th retry.

    Args:
        patience: seconds that it waits for an answer before it tries again.
        arrived: when the request came, by `time.perf_counter`.
    """

    number: int = 0
    patience: float = 600.0
    arrived: float = field(default_factory=perf_counter)

    @property
    def window(self) -> float:
        """Seconds before now in which another try can have made its video: an earlier one, or a
        later one that has overtaken this one since it came.
        """
        if self.number:
            return min(self.number * (self.patience + _SDK_PAUSE), LONGEST_WINDOW)
        return perf_counter() - self.arrived

    @property
    def bit(self) -> int:
        """The one that stands for this try in `sdk_tries`."""
        return 1 << min(self.number, 14)


Key = IdempotencyKey | SdkTry
"""By what a repeated request is known to be the same."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked submission: the columns of its video, `events` among them. `request_id` goes with
    the first ring, so that the lines of the log can be put together.
    """

    row: Mapping[str, Any]
    cost: Decimal
    key: Key | None = None
    request_id: str | None = None

    @property
    def user_id(self) -> str:
        """Who asks and pays."""
        return str(self.row["user_id"])


Wishes = Mapping[int, Wish]
"""Some wishes of a batch, by their places in it."""


def prepare(ctx: Context, caller: Caller, request: VideoRequest, *, key: Key | None = None) -> Wish:
    """The wish of a create; its image is kept where the worker finds it.

    Raises:
        InvalidRequest, Unsupported: the request breaks a rule; the message names the field.
        StorageError: the image cannot be kept.
    """
    wanted = shaped(ctx, request)
    if request.webhook_url is not None:
        endpoints.check_url(ctx, request.webhook_url, param="webhook_url")
    image = _keep_image(ctx, request.input_reference)
    body = {
        "kind": Kind.CREATE,
        "model": wanted.model,
        "prompt": request.prompt,
        "seconds": wanted.seconds,
        "size": wanted.size,
        "quality": request.quality,
        "metadata": dict(request.metadata),
        "priority": request.priority,
        "run_at": request.run_at,
        "webhook_url": request.webhook_url,
        "input_sha256": image.get("input_sha256"),
    }
    row = {
        **body,
        **image,
        "fingerprint": fingerprints.of_create(body),
        "candidates": wanted.candidates,
    }
    told = {name: body[name] for name in ("model", "prompt", "seconds", "size")}
    return completed(
        caller, wanted.provider, row, wanted.cost, [(EventType.CREATED, told)], key=key
    )


def shaped(ctx: Context, request: VideoRequest) -> Shape:
    """A request with the defaults of its model, checked.

    Raises:
        InvalidRequest, Unsupported: it breaks a rule; the message names the field.
    """
    found = shape(
        ctx.catalog,
        model=request.model,
        seconds=request.seconds,
        size=request.size,
        prompt=request.prompt,
        has_image=request.input_reference is not None,
    )
    if request.input_reference is not None:
        _image_type(request.input_reference)
    return found


def completed(
    caller: Caller,
    provider: Provider,
    row: Mapping[str, Any],
    cost: Decimal,
    events: Sequence[tuple[EventType, Mapping[str, Any]]],
    *,
    key: Key | None,
) -> Wish:
    """A wish from the columns that say what is wanted: with an id, its owner, and its history."""
    whole = {
        **row,
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
    return Wish(row=whole, cost=cost, key=key, request_id=caller.request_id)


def _keep_image(ctx: Context, image: InputFile | None) -> dict[str, Any]:
    """Put the image where the worker finds it: messages carry ids only."""
    if image is None:
        return {}
    media_type = _image_type(image)
    digest = sha256(image.data).hexdigest()
    key = f"inputs/{digest}.{_INPUT_TYPES[media_type]}"
    ctx.storage.put(key, [image.data], content_type=media_type)
    return {
        "input_key": key,
        "input_sha256": digest,
        "input_bytes": len(image.data),
        "input_type": media_type,
    }


def _image_type(image: InputFile) -> str:
    """Its media type, by its bytes. Raises InvalidRequest for what is no image of a known kind."""
    if not 1 <= len(image.data) <= MAX_INPUT_BYTES:
        raise InvalidRequest(
            f"input_reference must have 1 to {MAX_INPUT_BYTES} bytes.", param="input_reference"
        )
    media_type = sniff(image.data[:64])
    if media_type not in _INPUT_TYPES:
        raise InvalidRequest(
            f"input_reference must be one of {', '.join(_INPUT_TYPES)}.", param="input_reference"
        )
    return media_type
