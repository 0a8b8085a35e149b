"""What a measurement is: contestants that take turns, and goals for what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench.metrics import Metrics
from bench.stage import Stage

Rounds = Mapping[str, Sequence[Metrics]]
"""By contestant, what each of its rounds showed."""


class Skipped(Exception):
    """It cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to measure. `seconds`: of one contestant in one round. `full`: at the size that the
    goals are meant for, rather than at one that takes a minute. `limit`: of answers, after which a
    round over HTTP ends early (0: none), for a trial. `pace`: of this machine, see `limits.pace`.
    """

    rounds: int
    seconds: float
    full: bool
    processes: int
    limit: int = 0
    pace: float = 1.0

    @property
    def warmup(self) -> float:
        """Seconds before each round that do not count."""
        return 0.0 if self.limit else min(1.0, self.seconds)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One who takes part; `run` is one round."""

    name: str
    run: Callable[[], Metrics]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for one metric of a contestant, or for its ratio to that of another (`over`).

    paced: it depends on how fast the machine is, and was set for one of `limits.GOAL_PACE`.
    """

    title: str
    contestant: str
    metric: str
    bound: Literal["at least", "at most"]
    value: float
    over: str | None = None
    paced: bool = False

    def at(self, pace: float | None) -> float | None:
        """The bound on a machine that is so many times as fast; None if it is the same on all."""
        if not self.paced or pace is None:
            return None
        return self.value * pace if self.bound == "at least" else self.value / pace

    def reached(self, rounds: Rounds) -> float | None:
        """The median over the rounds; None if somebody who matters did not take part.

        Of a ratio each round's own is taken: what a busy neighbour does to one round, it does to
        both.
        """
        ours = [metrics.get(self.metric) for metrics in rounds.get(self.contestant, ())]
        theirs: Sequence[float | None] = [1.0] * len(ours)
        if self.over is not None:
            theirs = [metrics.get(self.metric) for metrics in rounds.get(self.over, ())]
        pairs = zip(ours, theirs, strict=False)
        values = [a / b for a, b in pairs if a is not None and b]
        return median(values) if values else None

    def met(self, reached: float, value: float | None = None) -> bool:
        """Whether this will do, by the goal's own value or by this one."""
        value = self.value if value is None else value
        return reached >= value if self.bound == "at least" else reached <= value


@dataclass(frozen=True, slots=True)
class Measurement:
    """A question to this machine.

    contestants: enters a stage, prepares everything, and yields who takes part.
    chart: the metric that a picture shows; None: none.
    once: its figures do not wobble, or a round takes minutes; one is enough.
    """

    name: str
    title: str
    contestants: Callable[[Stage, Scale], AbstractContextManager[Sequence[Contestant]]]
    goals: Sequence[Goal] = ()
    chart: str | None = "per_second"
    once: bool = False
