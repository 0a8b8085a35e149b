"""The kinds of values that requests bring, and their rules."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from orchestrator.catalog.providers import MAX_PROMPT
from orchestrator.receivers import LONGEST_URL

METADATA_ENTRIES = 64
METADATA_BYTES = 16 * 1024
_FARTHEST = timedelta(days=366)
# As JSON writes it; the text \\u0000, with its backslash escaped, is another one.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_MAX_BIGINT = 2**63 - 1


def _text(value: Any) -> Any:
    """5 and "5" mean the same length; true and 5.0 are slips."""
    return str(value) if type(value) is int else value


def _whole(value: Any) -> Any:
    """500.0 is the same number in JSON as 500, and some languages write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """What PostgreSQL and JSON can both keep, and not too much of it."""
    if len(value) > METADATA_ENTRIES:
        raise ValueError(f"must have at most {METADATA_ENTRIES} entries")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise ValueError("must hold finite numbers of a sensible length") from None
    if len(text.encode()) > METADATA_BYTES:
        raise ValueError(f"must have at most {METADATA_BYTES} bytes as JSON")
    if _NUL.search(text):
        raise ValueError("must not contain NUL characters")
    return value


def _storable(value: str) -> str:
    """PostgreSQL keeps every character but NUL."""
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    return value


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


def soon(value: datetime) -> datetime:
    """A time that somebody can mean to wait for."""
    if value > datetime.now(UTC) + _FARTHEST:
        raise ValueError(f"must be at most {_FARTHEST.days} days ahead")
    return value


def _timely(value: Any) -> Any:
    """RFC 3339 only: a bare number could be seconds or milliseconds."""
    if not isinstance(value, str) or "-" not in value[1:]:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    # In a query string an unescaped + arrives as a space.
    return re.sub(r" (?=\d\d:\d\d\Z)", "+", value)


def split(value: Any) -> Any:
    """The parts of a list that is joined by commas; nothing at all is a list of none."""
    if not isinstance(value, str):
        return value
    return tuple(value.split(",")) if value else ()


UNSET: Any = None
"""The default of a field that stays as it is when it is missing, and cannot be null."""
WHOLE = BeforeValidator(_whole)
# For the documentation: as rules they would explain themselves less well.
_VISIBLE = Field(
    json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00\x1c-\x1f\x85][^\x00]*$"},
)
_WITHOUT_NUL = Field(json_schema_extra={"pattern": r"^[^\x00]*$"})
STORABLE = (AfterValidator(_storable), _WITHOUT_NUL)
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\w./:@-]+$")]
# Not strict: the value has gone through Python by then, where a strict time is no text any more.
Moment = Annotated[
    AwareDatetime, Field(strict=False), AfterValidator(_utc), BeforeValidator(_timely)
]
Seconds = Annotated[
    str,
    BeforeValidator(_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}], "examples": ["4"]}),
]
Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_plain),
    WithJsonSchema({"type": "object", "maxProperties": METADATA_ENTRIES}),
]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PROMPT), _VISIBLE]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=255), *STORABLE]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200), *STORABLE]
WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL), *STORABLE]
EventId = Annotated[int, Field(ge=0, le=_MAX_BIGINT)]
ProviderVideoId = Annotated[str, StringConstraints(min_length=1, max_length=500), *STORABLE]
