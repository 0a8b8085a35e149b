"""`python -m bench [MEASUREMENT …]`: runs measurements, prints their tables, keeps them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import chart, report, results
from bench.limits import pace
from bench.machine import Machine, describe
from bench.measurement import Contestant, Goal, Measurement, Scale, Skipped
from bench.metrics import Metrics
from bench.results import Reached, Result
from bench.stage import SCRATCH, Stage
from orchestrator.errors import ConfigurationError
from orchestrator.local.signals import ended_by_signals

SHORT = (
    *(
        "submit",
        "batch",
        "reads",
        "complete",
        "lifecycle",
        "crowd",
        "streams",
        "downloads",
        "start",
    ),
)
NAMES = ("limits", *SHORT)
"""`limits` takes part in `submit`, so it runs alone only when asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run; the exit code says whether all of ours could be measured, not whether goals were met."""
    options = _options(argv)
    seconds = options.seconds or (5.0 if options.full else 3.0)
    scale = Scale(options.rounds, seconds, options.full, options.processes)
    failed = False
    try:
        with ended_by_signals(), _scratch() as scratch:
            for name in dict.fromkeys(options.measurements) or SHORT:
                failed = not _kept(name, scale, scratch / name, options.out) or failed
    except KeyboardInterrupt:
        _say("Stopped; what was measured before is kept.")
        return 130
    return 1 if failed else 0


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for all measurements of a run, removed with the last of them: where a file system
    looks for room among all that was deleted in the last minutes (ext4 without a journal does),
    the files of one measurement would cost the next one twice its own.
    """
    SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="run-", dir=SCRATCH) as name:
        folder = Path(name)
        folder.chmod(0o711)  # root runs PostgreSQL as somebody else, who must get through
        yield folder


def _kept(name: str, scale: Scale, folder: Path, out: Path) -> bool:
    """Measure, and keep and show what came of it; returns whether all of ours was measured."""
    try:
        result = measure(import_module(f"bench.{name}").MEASUREMENT, scale, folder)
    except (Skipped, RuntimeError, ConfigurationError) as error:
        _say(f"{name} could not be measured: {error}\n")
        return False
    results.save(result, out)
    _say(report.section(result))
    _render(out)
    return not any(map(results.is_ours, result.skipped))


def _render(folder: Path) -> None:
    """Write the page and the pictures of all results that the folder holds."""
    kept = results.load(folder, NAMES)
    for result in kept:
        if (picture := chart.svg(result)) is not None:
            (folder / f"{result.name}.svg").write_text(picture, encoding="utf-8")
    (folder / "README.md").write_text(report.page(kept), encoding="utf-8")
    _say(f"Kept in {folder}\n")


def measure(measurement: Measurement, scale: Scale, folder: Path) -> Result:
    """Let the contestants take turns, in a new `folder`, and see which goals they reach."""
    rounds: dict[str, list[Metrics]] = {}
    skipped: dict[str, str] = {}
    with Stage(folder) as stage:
        machine = describe(stage, pace=pace(stage))
        paced = replace(scale, pace=machine.pace or 1.0)
        with measurement.contestants(stage, paced) as contestants:
            for turn in range(1 if measurement.once else scale.rounds):
                for contestant in _in_turn(contestants, turn):
                    _say(f"{measurement.name}, round {turn + 1}: {contestant.name}")
                    shown = _shown(contestant, skipped)
                    rounds.setdefault(contestant.name, []).append(shown)
    reached = [(goal, goal.reached(rounds)) for goal in measurement.goals]
    return Result(
        name=measurement.name,
        title=measurement.title,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine,
        scale=f"{'full' if scale.full else 'short'} form, {scale.processes} web processes",
        rounds={who.name: rounds[who.name] for who in contestants if any(rounds[who.name])},
        goals=[_judged(goal, value, machine) for goal, value in reached if value is not None],
        skipped=skipped,
        chart=measurement.chart,
    )


def _judged(goal: Goal, value: float, machine: Machine) -> Reached:
    here = goal.at(machine.pace)
    return Reached(
        title=goal.title,
        bound=goal.bound,
        goal=goal.value,
        value=value,
        met=goal.met(value),
        here=here,
        met_here=None if here is None else goal.met(value, here),
    )


def _shown(contestant: Contestant, skipped: dict[str, str]) -> Metrics:
    """One round. Who fails must not take along what the others have shown: the round is empty then,
    and `skipped` says why.
    """
    try:
        return contestant.run()
    except (Skipped, RuntimeError) as reason:
        skipped[contestant.name] = str(reason)
        return {}


def _in_turn(contestants: Sequence[Contestant], turn: int) -> Sequence[Contestant]:
    """Every other round backwards: who always comes after the same one might inherit something."""
    return contestants if turn % 2 == 0 else contestants[::-1]


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the orchestrator on this machine, with real servers.",
    )
    parser.add_argument(
        "measurements", nargs="*", metavar="MEASUREMENT", help=f"some of {', '.join(NAMES)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each contestant [3]")
    parser.add_argument("--seconds", type=float, help="of one in a round [3; 5 in full]")
    parser.add_argument("--full", action="store_true", help="full sizes, and the peers")
    parser.add_argument(
        "--processes", type=int, default=min(os.cpu_count() or 1, 4), help="of web [the cores, 4]"
    )
    parser.add_argument(
        "--out", type=Path, default=SCRATCH / "results", help="keeps results [.bench/results]"
    )
    options = parser.parse_args(argv)
    if unknown := set(options.measurements) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: it measures {', '.join(NAMES)}")
    return options


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
