"""The header Range."""

from __future__ import annotations

import pytest

from api.ranges import Span, Unsatisfiable, span


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-", Span(0, 10)),
        ("bytes=9-", Span(9, 10)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=2-500", Span(2, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-300", Span(0, 10)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("chars=1-2", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_span_is_the_part_when_the_header_can_be_read(
    header: str | None, expected: Span | None
) -> None:
    """One range of bytes; everything else counts as not asked for."""
    assert expected == span(header, 10)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=99-", "bytes=-0"])
def test_span_raises_when_the_range_lies_behind_the_end(header: str) -> None:
    """Nothing of the content is in it."""
    with pytest.raises(Unsatisfiable):
        span(header, 10)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1"])
def test_span_raises_when_the_content_is_empty(header: str) -> None:
    """An empty content has no part."""
    with pytest.raises(Unsatisfiable):
        span(header, 0)


def test_length_counts_the_bytes_when_asked() -> None:
    """The end is not included."""
    assert 4 == Span(2, 6).length
