"""The benchmark's arithmetic and its pages; what it measures is not timed here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import chart, report, results
from bench.__main__ import NAMES
from bench.machine import Machine
from bench.measurement import Goal, Measurement
from bench.results import Reached, Result

MACHINE = Machine(
    cores=2,
    cpu="Example",
    memory_gb=8,
    system="Linux 6",
    python="3.11",
    postgres="18",
    valkey="9",
    fsync_us=100,
    load=0.5,
    commit="abc",
    compiled_generator=True,
)


def make_result(**changes: object) -> Result:
    """A result of two contestants that took two turns."""
    fields: dict[str, object] = {
        "name": "submit",
        "title": "Submitting <fast>",
        "date": "2026-11-22",
        "machine": MACHINE,
        "scale": "short form",
        "rounds": {
            "orchestrator": [{"per_second": 100.0}, {"per_second": 300.0, "p99_ms": 2.5}],
            "naive": [{"per_second": 50.0}, {"per_second": 60.0}],
        },
        "goals": [Reached("Of naive", "at least", 2.0, 3.5, met=True)],
        "skipped": {"peer": "not to be had"},
        "chart": "per_second",
    }
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_measurement_has_what_the_runner_wants(name: str) -> None:
    """Each name is a module with a measurement of that name."""
    measurement = import_module(f"bench.{name}").MEASUREMENT

    assert isinstance(measurement, Measurement)
    assert name == measurement.name


def test_goal_reached_when_rounds_wobble() -> None:
    """A ratio is taken round by round, then its median: a slow round slows both."""
    goal = Goal("Twice as fast", "ours", "per_second", "at least", 2, over="theirs")
    ours = [{"per_second": value} for value in (200.0, 20.0, 230.0)]
    theirs = [{"per_second": value} for value in (100.0, 10.0, 100.0)]

    reached = goal.reached({"ours": ours, "theirs": theirs})

    assert 2.0 == reached


def test_goal_reached_when_a_round_failed() -> None:
    """An empty round counts for nobody, and the others stay with their own."""
    goal = Goal("Twice as fast", "ours", "per_second", "at least", 2, over="theirs")
    ours = [{"per_second": 100.0}, {}, {"per_second": 900.0}]
    theirs = [{"per_second": value} for value in (100.0, 1.0, 300.0)]

    assert 2.0 == goal.reached({"ours": ours, "theirs": theirs})


def test_goal_reached_when_somebody_is_missing() -> None:
    """Without the other one there is no ratio, and nothing is said of the goal."""
    goal = Goal("Twice as fast", "ours", "per_second", "at least", 2, over="theirs")

    assert goal.reached({"ours": [{"per_second": 200.0}]}) is None


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [("at least", 2.0, True), ("at least", 1.9, False), ("at most", 2.0, True)],
)
def test_goal_met_when_the_bound_is_touched(bound: str, value: float, met: bool) -> None:
    """A bound belongs to what it allows."""
    goal = Goal("", "ours", "per_second", bound, 2)  # type: ignore[arg-type]

    assert met == goal.met(value)


@pytest.mark.parametrize(
    ("bound", "pace", "here"), [("at least", 0.5, 5.0), ("at most", 0.5, 20.0), ("at most", 2, 5.0)]
)
def test_goal_is_in_proportion_when_the_machine_is_another(
    bound: str, pace: float, here: float
) -> None:
    """Half as fast: half the rate, twice the time."""
    goal = Goal("", "ours", "p99_ms", bound, 10, paced=True)  # type: ignore[arg-type]

    assert here == goal.at(pace)


@pytest.mark.parametrize(("paced", "pace"), [(False, 0.5), (True, None)])
def test_goal_is_the_same_when_the_pace_makes_no_difference(
    paced: bool, pace: float | None
) -> None:
    """A ratio, or a machine of unknown pace."""
    assert Goal("", "ours", "p99_ms", "at most", 10, paced=paced).at(pace) is None


@pytest.mark.parametrize(
    ("met", "met_here", "word"),
    [(True, True, "yes"), (False, True, "at its pace"), (False, False, "no"), (False, None, "no")],
)
def test_section_says_which_of_both_bounds_is_met(
    met: bool, met_here: bool | None, word: str
) -> None:
    """The one of the goal, or only that at the pace of this machine."""
    here = None if met_here is None else 5.0
    goal = Reached("Pages", "at most", 2.0, 3.5, met=met, here=here, met_here=met_here)

    text = report.section(make_result(goals=[goal]))

    at_pace = "" if here is None else "5.00"
    assert f"| Pages | at most 2.00 | {at_pace} | 3.50 | {word} |" in text


def test_medians_when_a_metric_is_in_some_rounds_only() -> None:
    """What a round does not show does not count as zero."""
    medians = make_result().medians()

    assert {"per_second": 200.0, "p99_ms": 2.5} == medians["orchestrator"]


def test_results_when_saved_and_loaded(tmp_path: Path) -> None:
    """A result survives the file that keeps it."""
    result = make_result()

    results.save(result, tmp_path)

    (loaded,) = results.load(tmp_path, ["submit", "reads"])
    assert result == loaded


def test_section_when_everything_is_there() -> None:
    """Goals, figures, who is missing, the machine and the picture are all on the page."""
    text = report.section(make_result())

    assert "| Of naive | at least 2.00 |  | 3.50 | yes |" in text
    assert "| naive | 55.0 |  |" in text
    assert "Without peer: not to be had." in text
    assert "2 cores of Example" in text
    assert "(submit.svg)" in text


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("per_second", "per second"),
        ("mb_per_second", "MB/s"),
        ("p99_ms", "p99 (ms)"),
        ("looks_per_video", "looks per video"),
    ],
)
def test_heading_when_the_name_ends_with_a_unit(metric: str, words: str) -> None:
    """Units stand apart from names."""
    assert words == report.heading(metric)


def test_chart_when_titles_hold_markup() -> None:
    """The picture is well-formed XML with one bar for each contestant."""
    picture = chart.svg(make_result())

    assert picture is not None
    root = ElementTree.fromstring(picture)  # noqa: S314 - written by ourselves
    assert 3 == len(root.findall("{http://www.w3.org/2000/svg}rect"))


def test_chart_when_nobody_shows_the_metric() -> None:
    """There is no picture of nothing."""
    assert chart.svg(make_result(chart="memory_mb")) is None
