"""An HTTP answer as plain values, with the few headers that mean something to us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from math import isfinite
from typing import Any

LONGEST_WAIT = 86_400.0
DETAIL_LENGTH = 2_000
SHORTEST_SECRET = 8


@dataclass(frozen=True)
class Reply:
    """What came back.

    headers: names in lower case. foreign: it came from another host than the one we asked, after
    a redirect, so that it says nothing about our key. secret: our key, which some servers repeat
    when they complain about it.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    foreign: bool = False
    secret: str | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def body(self) -> Any:
        """The JSON in it, whatever its content type claims; None if it is not JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def detail(self) -> str:
        """The answer for the operator's eyes, cut, without our key."""
        text = self.without_secret(self.text[: 2 * DETAIL_LENGTH]).replace("\0", "")
        return f"HTTP {self.status} {text}"[:DETAIL_LENGTH].rstrip()

    def without_secret(self, text: str) -> str:
        """The text with our key blotted out; a placeholder such as "none" is no secret."""
        if self.secret is None or len(self.secret) < SHORTEST_SECRET:
            return text
        return text.replace(self.secret, "***")

    def retry_after(self, now: datetime) -> float | None:
        """Seconds to wait, from Retry-After as seconds or as a date; at most a day."""
        value = self.headers.get("retry-after", "").strip()
        seconds = _number(value)
        if seconds is None:
            date = _http_date(value)
            seconds = None if date is None else (date - now).total_seconds()
        return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT)

    @property
    def poll_after(self) -> float | None:
        """Seconds until the provider wants to be asked again, where it says so."""
        milliseconds = _number(self.headers.get("openai-poll-after-ms", ""))
        if milliseconds is None or milliseconds < 0:
            return None
        return min(milliseconds / 1000, LONGEST_WAIT)

    def server_offset(self, now: datetime) -> timedelta:
        """The server's clock minus ours; nothing if it does not tell its time."""
        date = _http_date(self.headers.get("date", ""))
        return timedelta(0) if date is None else date - now


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
