"""Rules of single values that the tests over HTTP do not reach."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.fields import WHOLE, Metadata, Moment

METADATA = TypeAdapter(Metadata)
MOMENT = TypeAdapter(Moment)
NUMBER: TypeAdapter[int] = TypeAdapter(Annotated[int, WHOLE])


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": "\\u0000"},
        {"a": "\\\\u0000"},
        {"ключ": ["é", 1.5, None, True]},
        {"a": "b" * 16_000},
    ],
)
def test_metadata_is_kept_when_json_and_postgresql_can(value: dict[str, Any]) -> None:
    """A text that only looks like an escaped NUL is none."""
    assert value == METADATA.validate_python(value)


@pytest.mark.parametrize("value", [{"a": "\0"}, {"\0": 1}, {"a": ["\\\0"]}, {"a": float("inf")}])
def test_metadata_is_refused_when_postgresql_cannot_keep_it(value: dict[str, Any]) -> None:
    """NUL characters and infinite numbers, at any depth."""
    with pytest.raises(ValidationError):
        METADATA.validate_python(value)


def test_metadata_counts_bytes_when_it_is_measured() -> None:
    """16 KiB of UTF-8, not of characters."""
    with pytest.raises(ValidationError, match="16384 bytes"):
        METADATA.validate_python({"a": "é" * 9_000})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31t12:00:00.5-05:00", "2026-01-31T17:00:00.500000+00:00"),
        ("2026-01-31T12:00:00 02:00", "2026-01-31T10:00:00+00:00"),
    ],
)
def test_moment_is_utc_when_the_text_has_an_offset(text: str, expected: str) -> None:
    """Also when a query string has turned its plus into a space."""
    assert expected == MOMENT.validate_python(text).isoformat()


@pytest.mark.parametrize(
    "value", ["", "now", "1700000000", 1_700_000_000, None, "2026-13-01T00:00:00Z", "2026-01-31"]
)
def test_moment_is_refused_when_it_could_mean_several_times(value: Any) -> None:
    """A date without time or zone, a bare number, a word."""
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)


def test_number_is_whole_when_it_is_written_with_a_point() -> None:
    """JSON has one kind of number, and some languages write all of them so."""
    assert 500 == NUMBER.validate_json("500.0", strict=True)


@pytest.mark.parametrize("text", ["500.5", "true", '"500"', "1e400", "null"])
def test_number_is_refused_when_it_is_not_whole(text: str) -> None:
    """Nothing is rounded or guessed."""
    with pytest.raises(ValidationError):
        NUMBER.validate_json(text, strict=True)
