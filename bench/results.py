"""What was measured, kept as JSON: a folder of results holds the last run of each measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench.machine import Machine
from bench.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Reached:
    """A goal, and how far it was reached; `here` and `met_here` by the pace of this machine, None
    where that makes no difference.
    """

    title: str
    bound: str
    goal: float
    value: float
    met: bool
    here: float | None = None
    met_here: bool | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement on one machine. `rounds`: by contestant. `skipped`: who did not take part,
    and why.
    """

    name: str
    title: str
    date: str
    machine: Machine
    scale: str
    rounds: Mapping[str, Sequence[Metrics]]
    goals: Sequence[Reached] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    chart: str | None = None

    def medians(self) -> dict[str, Metrics]:
        """By contestant, the median of each metric."""
        return {
            contestant: {
                name: median([metrics[name] for metrics in rounds if name in metrics])
                for name in {name: None for metrics in rounds for name in metrics}
            }
            for contestant, rounds in self.rounds.items()
            if rounds
        }


def is_ours(contestant: str) -> bool:
    """Whether this contestant is the product, rather than a limit or somebody else."""
    return contestant.startswith("orchestrator")


def save(result: Result, folder: Path) -> None:
    """Put it in place of the last one of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_rounded(asdict(result)), indent=1, ensure_ascii=False)
    (folder / f"{result.name}.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path, names: Sequence[str]) -> list[Result]:
    """The results of these measurements, of those that there are."""
    paths = [folder / f"{name}.json" for name in names]
    return [_read(json.loads(path.read_text("utf-8"))) for path in paths if path.exists()]


def _read(kept: dict[str, object]) -> Result:
    machine = Machine(**kept.pop("machine"))  # type: ignore[arg-type]
    goals = [Reached(**goal) for goal in kept.pop("goals")]  # type: ignore[attr-defined]
    return Result(machine=machine, goals=goals, **kept)  # type: ignore[arg-type]


def _rounded(value: object) -> object:
    """With four significant digits: more would only look exact."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
