"""What one kind of server can do, as data: how it is asked, what it answers, what it allows.

A profile describes a *program* (LiteLLM, SGLang, ...); a `Provider` is one installation of it, with
an address and a key. Everything here is pure: nothing reads the environment or the network.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Literal

Encoding = Literal["multipart", "json"]
ImageEncoding = Literal["multipart", "data_url"]
Listing = Literal["none", "unpaged", "paged"]
Remix = Literal["remix", "edits", "none"]
OnUnknown = Literal["hold", "retry", "fail", "resend"]
UpstreamStatus = Literal["queued", "in_progress", "completed", "failed"]
IdShape = Literal["plain", "litellm", "bifrost"]
Prices = Mapping[tuple[str, str | None], Decimal]
"""US dollars a second, by (model, size); size None is the model's price for every other size."""

ECHOABLE = frozenset({"model", "seconds", "size", "prompt"})
DEFAULT_SECONDS = "4"
DEFAULT_SIZE = "720x1280"
DEFAULT_PRICES: Prices = {
    ("sora-2", None): Decimal("0.10"),
    ("sora-2-pro", None): Decimal("0.20"),
}

STATUSES: Mapping[str, UpstreamStatus] = {
    **dict.fromkeys(("queued", "pending", "submitted", "created", "accepted"), "queued"),
    **dict.fromkeys(("in_progress", "processing", "running", "starting"), "in_progress"),
    **dict.fromkeys(("completed", "succeeded", "success", "done"), "completed"),
    **dict.fromkeys(
        ("failed", "cancelled", "canceled", "expired", "deleted", "rejected"), "failed"
    ),
}
"""The words that servers of this protocol use, in lower case."""

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})\Z", re.ASCII)
_SECONDS = re.compile(r"[1-9]\d{0,3}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class SecondsRule:
    """Which lengths a server renders: a list, or every whole number from `low` to `high`."""

    allowed: tuple[str, ...] = ()
    low: int = 1
    high: int = 60

    def permits(self, seconds: str) -> bool:
        """Whether this length (text, whole seconds) is one of them."""
        if self.allowed:
            return seconds in self.allowed
        return _SECONDS.match(seconds) is not None and self.low <= int(seconds) <= self.high

    @property
    def default(self) -> str:
        """The usual length where it is allowed, else the first that is."""
        if self.permits(DEFAULT_SECONDS):
            return DEFAULT_SECONDS
        return self.allowed[0] if self.allowed else str(self.low)

    def __str__(self) -> str:
        if self.allowed:
            return "one of " + ", ".join(f'"{seconds}"' for seconds in self.allowed)
        return f'a whole number of seconds from "{self.low}" to "{self.high}"'


@dataclass(frozen=True, slots=True)
class SizeRule:
    """Which sizes a server renders: a list (some models have their own), or any even one."""

    allowed: tuple[str, ...] = ()
    by_model: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    low: int = 16
    high: int = 4096

    def sizes(self, model: str) -> tuple[str, ...]:
        """The list for this model; empty where any even size goes."""
        return self.by_model.get(model, self.allowed)

    def permits(self, size: str, model: str) -> bool:
        """Whether this size (`WIDTHxHEIGHT`) goes with this model."""
        if self.sizes(model):
            return size in self.sizes(model)
        match = _SIZE.match(size)
        return match is not None and all(
            self.low <= int(side) <= self.high and int(side) % 2 == 0 for side in match.groups()
        )

    def default(self, model: str) -> str:
        """The usual size where it is allowed, else the first that is."""
        return DEFAULT_SIZE if self.permits(DEFAULT_SIZE, model) else self.sizes(model)[0]

    def describe(self, model: str) -> str:
        """The rule in words, for error messages."""
        if self.sizes(model):
            return "one of " + ", ".join(self.sizes(model))
        return f"WIDTHxHEIGHT, both even and from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Profile:
    """What one kind of server can do and how it deviates. The presets are in `presets`.

    echoes: fields that its list shows exactly as they were sent. Only these may tell two videos
        apart. A field that the server rounds, renames or drops must not be here: it would hide a
        video that we have paid for.
    delete_cancels: whether DELETE stops a running job (elsewhere it only forgets it, and the work
        goes on).
    on_unknown: what to do with a submission of unknown outcome where there is no usable list.
        `resend` repeats it under the same Idempotency-Key, which only our own kind of server
        honours.
    retention: how long a finished video can be fetched. Guessed low for servers that keep jobs in
        memory.
    missing_grace_seconds: how long a 404 may last before the video counts as lost.
    """

    name: str
    create_encoding: Encoding = "multipart"
    image_encoding: ImageEncoding = "multipart"
    ids: IdShape = "plain"
    list: Listing = "paged"
    list_query: Mapping[str, str] = field(default_factory=dict)
    echoes: frozenset[str] = frozenset()
    has_delete: bool = True
    delete_cancels: bool = False
    remix: Remix = "none"
    edits: bool = False
    extensions: bool = False
    input_reference: bool = True
    quality: bool = False
    variants: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset({"mp4"})
    seconds: SecondsRule = SecondsRule()
    sizes: SizeRule = SizeRule()
    max_in_flight: int | None = None
    poll_min_seconds: float = 5.0
    retention: timedelta = timedelta(hours=1)
    missing_grace_seconds: float = 60.0
    prices: Prices = field(default_factory=lambda: DEFAULT_PRICES)
    on_unknown: OnUnknown = "hold"
    statuses: Mapping[str, UpstreamStatus] = field(default_factory=lambda: STATUSES)

    @property
    def honours_idempotency_key(self) -> bool:
        """Whether sending a create again under its key is known to be free."""
        return self.on_unknown == "resend"

    def shows_whole(
        self, *, has_image: bool, has_quality: bool = False, kind: str = "create"
    ) -> bool:
        """Whether the list shows the whole request, so that look-alikes are equal.

        Not where any field is missing from it, an image or a quality was sent or a source video
        named: no list shows those.
        """
        return self.echoes >= ECHOABLE and kind == "create" and not (has_image or has_quality)

    def canonical_id(self, raw: str) -> str:
        """The form in which two spellings of one id are equal; most ids stay as they are."""
        if self.ids == "litellm":
            return _litellm_id(raw)
        if self.ids == "bifrost":
            return max(raw.split(":"), key=len) or raw
        return raw

    def is_own_id(self, raw: str) -> bool:
        """Whether this has the form of the ids that such a server gives. Most have none; LiteLLM
        asks the wrong server for an id that is not its own.
        """
        return self.ids != "litellm" or bool(_litellm_parts(raw))

    def derived_id(self, raw: str, source: str) -> str:
        """The id to ask for a remix by: from the one that came back, and its source's.

        LiteLLM finds a video's deployment by its id, and forgets to write that into the id of a
        remix, edit or extension: it would ask elsewhere, and what was paid for could never be
        fetched. Such a video is where its source is.
        """
        parts = _litellm_parts(source) if self.ids == "litellm" else []
        if not parts:
            return raw
        inner = f"video_id:{_litellm_id(raw)}"
        told = [inner if part.startswith("video_id:") else part for part in parts]
        return "video_" + b64encode(";".join(told).encode()).decode()

    def read_status(self, raw: str) -> UpstreamStatus | None:
        """Our word for the server's; None if we do not know it (then it counts as running)."""
        if (known := self.statuses.get(raw)) is not None:
            return known
        return self.statuses.get(raw.strip().lower().replace("-", "_").replace(" ", "_"))


def _litellm_id(raw: str) -> str:
    """The inner id: `video_` + base64 of `litellm:...;model_id:...;video_id:<inner>[;...]`.

    The outer form differs between create, retrieve and list, because the other parts come and go.
    """
    inner = next((part for part in _litellm_parts(raw) if part.startswith("video_id:")), "")
    return inner.removeprefix("video_id:") or raw


def _litellm_parts(raw: str) -> list[str]:
    """What is inside such an id; empty for any other text."""
    encoded = raw.removeprefix("video_")
    if encoded == raw:
        return []
    padding = "=" * (-len(encoded.rstrip("=")) % 4)
    try:
        parts = b64decode(encoded.rstrip("=") + padding, altchars=b"-_").decode().split(";")
    except (Base64Error, UnicodeDecodeError, ValueError):
        return []
    return parts if parts[0].startswith("litellm:") else []
