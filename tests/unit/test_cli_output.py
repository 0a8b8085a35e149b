"""Numbers, times and other people's text, as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from orchestrator.cli import output
from orchestrator.cli.times import moment


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "-"), (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (658_900, "658.9 kB"),
        (52_428_800, "52.4 MB"), (7_000_000_000, "7.0 GB"),
    ],
)  # fmt: skip
def test_size_is_short_when_it_is_large(count: int | None, shown: str) -> None:
    """Three digits and a unit."""
    assert shown == output.size(count)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_duration_has_one_unit_when_it_is_shown(seconds: float, shown: str) -> None:
    """Nobody needs the seconds of a day; clocks that differ give no negative time."""
    assert shown == output.duration(seconds)


def test_age_counts_from_now_when_a_time_is_known() -> None:
    """The zone of the time does not matter."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert "2 h ago" == output.ago("2026-11-22T10:00:00.000Z", now)
    assert "3 h ago" == output.ago("2026-11-22T11:00:00+02:00", now)
    assert "-" == output.ago(None, now)


def test_text_is_one_plain_line_when_it_is_somebody_elses() -> None:
    """Control characters become spaces; letters of all scripts stay."""
    assert "a b  [31m é 雪 " == output.plain("a\nb\r\x1b[31m é 雪\u202e")


def test_text_is_printed_as_it_is_when_it_looks_like_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither styles nor the names of emoji mean anything in somebody else's text."""
    output.results().print("[red]x[/red] :bomb: [link=https://e.com]")

    assert "[red]x[/red] :bomb: [link=https://e.com]\n" == capsys.readouterr().out


def test_text_is_cut_when_it_is_too_long() -> None:
    """The cut can be seen."""
    assert "abcd…" == output.shortened("abcdefgh", 5)
    assert "abcde" == output.shortened("abcde", 5)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("+90s", timedelta(seconds=90)),
        ("-2h", timedelta(hours=-2)),
        ("+0.5d", timedelta(hours=12)),
        ("+10m", timedelta(minutes=10)),
    ],
)
def test_time_counts_from_now_when_it_has_a_sign(text: str, offset: timedelta) -> None:
    """Seconds, minutes, hours and days."""
    before = datetime.now(UTC)

    found = moment(text)

    assert before + offset <= found <= datetime.now(UTC) + offset


def test_time_is_local_when_it_has_no_zone() -> None:
    """People type the time of their own clock."""
    naive = datetime(2026, 11, 22, 18, 30)  # noqa: DTZ001 - that is the point

    assert naive.astimezone() == moment("2026-11-22T18:30")
    assert datetime(2026, 11, 22, 16, 30, tzinfo=UTC) == moment("2026-11-22T18:30+02:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "+", "+h", "+1w", "+1e999d", "2026-13-01", "0001-01-01"]
)
def test_time_is_refused_when_it_is_none(text: str) -> None:
    """With an example of what may be written."""
    with pytest.raises(click.BadParameter, match="write 2026-11-22T18:30"):
        moment(text)
