"""The header Range, for one range of bytes (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end`, the end not included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start


class Unsatisfiable(Exception):
    """The range begins behind the end of the content."""


def span(header: str | None, size: int) -> Span | None:
    """The part of a content of `size` bytes that is asked for; None: all of it.

    What cannot be read, and several ranges at once, count as not asked for: the RFC permits that.

    Raises:
        Unsatisfiable: nothing of the content lies in the range.
    """
    match = _RANGE.match(header or "")
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end or start >= size:
        raise Unsatisfiable
    return Span(start, end)
