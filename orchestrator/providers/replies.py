"""Reading what servers say about videos, whatever dialect they say it in. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestrator.catalog import Profile
from orchestrator.providers.protocol import ProviderVideo
from orchestrator.providers.redaction import public_text
from orchestrator.providers.reply import Reply

MODERATED = "moderation_blocked"
_FAILED = "generation_failed"

# Ids travel in paths and live in text columns; nothing else is assumed of them.
_ID = re.compile(r"(?!\.{1,2}\Z)[^\s\x00-\x1f\x7f\ud800-\udfff]{1,500}\Z")
_CODE = re.compile(r"[A-Za-z][\w.-]{0,63}\Z", re.ASCII)
_MODERATION = re.compile(
    r"moderat|content[ _-]?polic|content[ _-]?filter|policy[ _-]?violation"
    r"|responsible[ _-]?ai|safety (?:system|filter)",
    re.IGNORECASE,
)
_SECONDS_FIELDS = ("seconds", "duration", "duration_seconds")
_LENGTHS = frozenset(map(str, range(1, 61)))
"""Plain as they are. Lists of thousands are read every second, and an exact number is slow."""
_YEAR_3000 = 32_503_680_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error says, wherever the server puts it. `code` is the server's own word or empty."""

    code: str
    message: str

    @property
    def moderated(self) -> bool:
        """Whether it was refused for what it shows."""
        return bool(_MODERATION.search(self.code) or _MODERATION.search(self.message))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. has_more: None where the server does not say. complete: all readable."""

    videos: tuple[ProviderVideo, ...]
    has_more: bool | None
    complete: bool


def read_video(
    body: Any, profile: Profile, *, fallback_id: str | None = None, poll_after: float | None = None
) -> ProviderVideo | None:
    """The video that a JSON body tells of; None if it tells of none (no id, or no status).

    fallback_id: the id to assume for a body that is certainly a video's but has none.
    """
    if not isinstance(body, dict):
        return None
    raw_id = read_id(body.get("id")) or fallback_id
    status_field = body.get("status")
    raw_status = _text(status_field) if isinstance(status_field, str) else None
    if raw_id is None or raw_status is None:
        return None
    status = profile.read_status(raw_status)
    failed = status == "failed"
    problem = read_problem(body.get("error")) if failed else None
    return ProviderVideo(
        id=raw_id,
        canonical_id=profile.canonical_id(raw_id),
        status=status or "in_progress",
        raw_status=raw_status[:64],
        status_known=status is not None,
        progress=_progress(body.get("progress")),
        model=_text(body.get("model")),
        seconds=_seconds(body),
        size=_size(body.get("size")),
        prompt=_text(body.get("prompt")),
        created_at=_time(body.get("created_at")),
        expires_at=_time(body.get("expires_at")),
        error_code=_failure_code(problem, raw_status) if problem else None,
        error_message=_failure_message(problem, raw_status) if problem else None,
        poll_after=poll_after,
    )


def read_failed_reply(
    reply: Reply, profile: Profile, *, asked_for: str | None = None
) -> ProviderVideo | None:
    """The job inside an HTTP error: some servers answer so for a job that failed.

    Error envelopes may have an `id` and a `status` too, so the body must call itself a video or
    carry the id that was asked for.
    """
    for body in (reply.body, _member(reply.body, "detail"), _member(reply.body, "error")):
        same = asked_for is not None and read_id(_member(body, "id")) == asked_for
        if same or _member(body, "object") == "video":
            return read_video(body, profile, fallback_id=asked_for)
    return None


def read_page(body: Any, profile: Profile) -> Page | None:
    """One page of a list, also as a bare array; None if it is none."""
    entries = body.get("data", ()) if isinstance(body, Mapping) and "data" in body else body
    entries = [] if entries is None and isinstance(body, Mapping) else entries
    if not isinstance(entries, list):
        return None
    videos = [read_video(entry, profile) for entry in entries]
    has_more = _member(body, "has_more")
    return Page(
        videos=tuple(video for video in videos if video is not None),
        has_more=has_more if isinstance(has_more, bool) else None,
        complete=None not in videos,
    )


def read_problem(body: Any) -> Problem:
    """An error in any of the shapes in use: OpenAI's object, `detail`, a text, nothing at all."""
    if isinstance(body, Mapping):
        for key in ("error", "detail"):
            if body.get(key):
                inner = read_problem(body[key])
                return Problem(inner.code or _text(body.get("code")) or "", inner.message)
        code = _text(body.get("code")) or ""
        kind = _text(body.get("type")) or ""
        # `code` is a status number with some servers; the type then says more.
        return Problem(
            code if _CODE.match(code) else kind,
            _text(body.get("message")) or _text(body.get("msg")) or "",
        )
    if isinstance(body, list):
        return next((read_problem(entry) for entry in body if entry), Problem("", ""))
    return Problem("", _text(body) or "")


def read_id(value: Any) -> str | None:
    """A usable id, or None."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _ID.match(text) else None


def _failure_code(problem: Problem, raw_status: str) -> str:
    if problem.moderated:
        return MODERATED
    if _CODE.match(problem.code):
        return problem.code
    word = raw_status.strip().lower()
    return word if word in {"cancelled", "canceled", "expired", "deleted", "rejected"} else _FAILED


def _failure_message(problem: Problem, raw_status: str) -> str:
    return public_text(problem.message) or f"The provider reports this video as {raw_status[:64]}."


def _member(body: Any, key: str) -> Any:
    return body.get(key) if isinstance(body, Mapping) else None


def _text(value: Any) -> str | None:
    """A text, or a number as one; without what PostgreSQL and UTF-8 cannot keep."""
    if isinstance(value, str) and value.isascii() and "\0" not in value:
        return value or None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).replace("\0", "").encode("utf-8", "ignore").decode() or None


def _number(value: Any) -> Decimal | None:
    if type(value) is int:
        return Decimal(value)
    text = _text(value)
    try:
        number = Decimal(text.strip().removesuffix("%").removesuffix("s")) if text else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _progress(value: Any) -> int | None:
    if type(value) is int:
        return min(max(value, 0), 100)
    number = _number(value)
    if number is None:
        return None
    percent = number * 100 if 0 < number < 1 else number
    return int(min(max(percent, Decimal(0)), Decimal(100)))


def _seconds(body: Mapping[str, Any]) -> str | None:
    """The length as a plain number: "4", 4, 4.0 and `duration: 4.0` are the same."""
    for key in _SECONDS_FIELDS:
        value = body.get(key)
        if type(value) is str and value in _LENGTHS:
            return value
        number = _number(value)
        if number is not None and 0 < number < 1_000_000:
            return f"{number.normalize():f}"
    return None


def _size(value: Any) -> str | None:
    text = _text(value)
    return text.strip().lower() or None if text else None


def _time(value: Any) -> datetime | None:
    """Unix seconds, milliseconds, or an ISO date."""
    if type(value) is int and 0 < value < _YEAR_3000:
        return datetime.fromtimestamp(value, UTC)
    number = _number(value)
    if number is not None:
        seconds = float(number) if number < _YEAR_3000 else float(number) / 1000
        return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _YEAR_3000 else None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
