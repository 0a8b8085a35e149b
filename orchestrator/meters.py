"""What this process has counted since it last told. Counting takes a microsecond and waits for
nobody: not for Redis, and not for whoever asks for the numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TypeAlias

Series: TypeAlias = tuple[str, ...]
"""What one number is: the name of a counter, the part of it, and the values of its labels. The part
is "" of a plain counter, "sum" of what was observed, or the upper bound of a bucket.
"""

SUM = "sum"
OVER = "+Inf"


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that is counted; it ends in `_total`. `help` is one sentence."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Something that takes seconds; `bounds` are the upper ones of its buckets, ascending."""

    name: str
    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its buckets, the last one for all that is longer."""
        return _parts(self.bounds)


@cache
def _parts(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(f"{bound:g}" for bound in bounds), OVER)


_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_LONG = (5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 86_400)

REQUESTS = Counter(
    "orchestrator_http_requests_total",
    "Requests by their route and by what was answered.",
    ("method", "route", "status"),
)
REQUEST_SECONDS = Histogram(
    "orchestrator_http_request_seconds",
    "From when all of a request has come until its answer is made.",
    ("method", "route"),
    _QUICK,
)
PROVIDER_CALLS = Counter(
    "orchestrator_provider_calls_total",
    "Calls of a provider; `outcome` is `ok` or the code of the error.",
    ("provider", "operation", "outcome"),
)
PROVIDER_SECONDS = Histogram(
    "orchestrator_provider_call_seconds",
    "How long calls of a provider take, whatever becomes of them.",
    ("provider", "operation"),
    _SLOW,
)
CREATED = Counter(
    "orchestrator_videos_created_total", "Videos that were accepted with a 202.", ("model",)
)
ENDED = Counter(
    "orchestrator_videos_ended_total",
    "Videos that came to their end; `code` says why they failed.",
    ("model", "status", "code"),
)
VIDEO_SECONDS = Histogram(
    "orchestrator_video_seconds",
    "From when a video could have been started until it was completed.",
    ("model",),
    _LONG,
)
DOLLARS = Counter(
    "orchestrator_completed_dollars_total",
    "What completed videos have cost at their provider.",
    ("provider", "model"),
)
UNKNOWN = Counter(
    "orchestrator_unknown_outcomes_total",
    "Submissions of which nobody knew what became of them.",
    ("provider",),
)
RECONCILED = Counter(
    "orchestrator_reconciliations_total",
    "What looking for those has brought: `adopted`, `abandoned`, `undecided` or `inconclusive`.",
    ("provider", "outcome"),
)
DELIVERED = Counter(
    "orchestrator_webhook_messages_total",
    "Messages to receivers of webhooks, `delivered` or `failed`; each try counts.",
    ("outcome",),
)
MESSAGES = Counter(
    "orchestrator_tasks_total",
    "Messages that workers have worked on; `outcome` is `ok` or `error`.",
    ("task", "outcome"),
)
TASK_SECONDS = Histogram(
    "orchestrator_task_seconds", "How long workers take for a message.", ("task",), _SLOW
)
SWEEP_SECONDS = Histogram(
    "orchestrator_sweep_seconds", "How long sweeps take, and how many there were.", (), _QUICK
)
SWEPT = Counter(
    "orchestrator_swept_total",
    "What sweeps have found: `admitted`, `rung`, `rescued` or `expired`.",
    ("what",),
)
UNRUNG = Counter(
    "orchestrator_ring_failures_total",
    "Messages that the broker may not have taken; the sweep repeats them.",
)

COUNTERS = (
    *(REQUESTS, PROVIDER_CALLS, CREATED, ENDED, DOLLARS, UNKNOWN, RECONCILED),
    *(DELIVERED, MESSAGES, SWEPT, UNRUNG),
)
HISTOGRAMS = (REQUEST_SECONDS, PROVIDER_SECONDS, VIDEO_SECONDS, TASK_SECONDS, SWEEP_SECONDS)


class Meters:
    """Counts, in memory. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: defaultdict[Series, float] = defaultdict(float)

    def count(self, counter: Counter, *labels: str, n: float = 1) -> None:
        """So many more of this; `labels` in the order of the counter's."""
        with self._lock:
            self._counts[(counter.name, "", *labels)] += n

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None:
        """It took so long this time."""
        within = histogram.parts[bisect_left(histogram.bounds, seconds)]
        with self._lock:
            self._counts[(histogram.name, within, *labels)] += 1
            self._counts[(histogram.name, SUM, *labels)] += seconds

    def timed(
        self,
        counter: Counter,
        histogram: Histogram,
        seconds: float,
        labels: tuple[str, ...],
        outcome: str,
    ) -> None:
        """Both at once: the counter has one label more, what became of it."""
        within = histogram.parts[bisect_left(histogram.bounds, seconds)]
        with self._lock:
            self._counts[(counter.name, "", *labels, outcome)] += 1
            self._counts[(histogram.name, within, *labels)] += 1
            self._counts[(histogram.name, SUM, *labels)] += seconds

    def take(self) -> Mapping[Series, float]:
        """All that was counted since the last time; from here on it is counted anew."""
        with self._lock:
            taken, self._counts = self._counts, defaultdict(float)
        return taken

    def put_back(self, taken: Mapping[Series, float]) -> None:
        """Keep what could not be told for the next time."""
        with self._lock:
            for series, n in taken.items():
                self._counts[series] += n
