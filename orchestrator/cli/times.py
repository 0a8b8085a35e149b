"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """A time, aware: RFC 3339, or local time without a zone, or from now (`+90s`, `-2h`, `+1d`).

    Raises:
        click.BadParameter: it is none of these.
    """
    try:
        if text[:1] in {"+", "-"} and text[-1:] in _UNITS:
            return datetime.now(UTC) + timedelta(**{_UNITS[text[-1]]: float(text[:-1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time: write 2026-11-22T18:30 (local), with a zone as in "
            "2026-11-22T18:30Z, or from now as in +10m, -2h, +1d."
        ) from None
