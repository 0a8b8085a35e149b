"""What commands print: results on stdout, everything about them on stderr.

Colours only on a terminal, and never with NO_COLOR. What comes from the server is shown as plain
text: it cannot style the output or send the terminal commands.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

_PLAIN_WIDTH = 200
_STYLES = {
    "queued": "yellow",
    "in_progress": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "magenta",
    "deleted": "dim",
}
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def results() -> Console:
    """For what was asked for."""
    return _console(stderr=False)


def remarks() -> Console:
    """For everything else; a script that reads stdout never sees it."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Where nobody looks, nothing should be cut to fit a window.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """A JSON document on stdout."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def remark(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True)


def plain(value: Any) -> str:
    """Somebody else's text without control characters, on one line."""
    return "".join(c if c.isprintable() else " " for c in str(value))


def shortened(value: Any, width: int) -> str:
    """Plain text of at most so many characters."""
    text = plain(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(plain(status), style=_STYLES.get(status, ""))


def money(amount: float | None) -> str:
    """US dollars; `-` if unknown."""
    return "-" if amount is None else f"${amount:,.2f}"


def size(count: int | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def ago(moment: str | None, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was, in one unit."""
    if moment is None:
        return "-"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """Seconds as people say them: `3 min`, `2 h`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def local_time(moment: str | None) -> str:
    """An RFC 3339 time in the zone of this machine."""
    if moment is None:
        return "-"
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
