"""Results as a page of Markdown: per measurement the goals, the figures and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.results import Reached, Result

_UNITS = {
    "mb_per_second": "MB/s",
    "per_second": "per second",
    "_ms": "ms",
    "_mb": "MiB",
    "_kb": "KiB",
    "_seconds": "s",
}
_INTRODUCTION = """\
# Results

Written by `python -m bench`; each measurement shows its last run. What the figures mean is said in
[Performance](../../docs/explanation/performance.md). Contestants of one table took turns in one
run; shown are medians of the rounds, and of ratios the median of each round's ratio.

Goals that are rates or times were set for a machine on which PostgreSQL does 7,400 of the
submission's transactions a second under pgbench. How many it does here is measured before each
measurement, and the goals are also shown in that proportion.
"""


def page(results: Sequence[Result]) -> str:
    """All of them."""
    return "\n".join([_INTRODUCTION, *map(section, results)])


def section(result: Result) -> str:
    """One of them, with a link to its picture."""
    rounds = max((len(rounds) for rounds in result.rounds.values()), default=0)
    parts = [
        f"## {result.title}\n",
        f"{result.date}, {rounds} round{'s' if rounds != 1 else ''}, {result.scale}.",
        f"{result.machine.sentence()}.\n",
    ]
    if result.goals:
        parts.append(_goals(result))
    parts.append(_figures(result))
    parts += [f"Without {who}: {why}.\n" for who, why in result.skipped.items()]
    if result.chart is not None:
        parts.append(f"![{result.title}]({result.name}.svg)\n")
    return "\n".join(parts)


def shown(value: float) -> str:
    """A figure with as many digits as it is worth."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def heading(metric: str) -> str:
    """The name of a metric in words: `p99_ms` is `p99 (ms)`."""
    for ending, unit in _UNITS.items():
        if metric == ending:
            return unit
        if metric.endswith(ending):
            name = metric.removesuffix(ending).replace("_", " ").strip()
            return f"{name} ({unit})"
    return metric.replace("_", " ")


def _goals(result: Result) -> str:
    rows = [
        (
            goal.title,
            f"{goal.bound} {shown(goal.goal)}",
            "" if goal.here is None else shown(goal.here),
            shown(goal.value),
            _met(goal),
        )
        for goal in result.goals
    ]
    return _table(("Goal", "Wanted", "At the pace of this machine", "Reached", "Met"), rows)


def _met(goal: Reached) -> str:
    if goal.met:
        return "yes"
    return "at its pace" if goal.met_here else "no"


def _figures(result: Result) -> str:
    medians = result.medians()
    metrics = list(dict.fromkeys(name for figures in medians.values() for name in figures))
    rows = [
        (who, *(shown(figures[name]) if name in figures else "" for name in metrics))
        for who, figures in medians.items()
    ]
    return _table(("Contestant", *map(heading, metrics)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
