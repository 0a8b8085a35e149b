"""All numbers of the installation, as Prometheus reads them.

What the rows say is read from PostgreSQL when somebody asks, at most once in some seconds; what
processes have counted comes from Redis, where each adds its own every few seconds. So any web
process shows the whole, on whichever machine the others run.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING
from uuid import uuid4

from orchestrator import gauges
from orchestrator.context import Context
from orchestrator.gauges import Sample
from orchestrator.meters import COUNTERS, HISTOGRAMS, SUM, Series
from orchestrator.tallies import Presence

if TYPE_CHECKING:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        Metric,
    )

TELL_SECONDS = 5.0


class Reporter:
    """Tells the others what this process counts: one thread, until it is closed."""

    def __init__(self, ctx: Context, kind: str, *, streams: Callable[[], int] = lambda: 0):
        self._ctx = ctx
        self._kind = kind
        self._streams = streams
        self._process = uuid4().hex
        self._closed = threading.Event()

    def start(self) -> None:
        """Tell every few seconds from now on."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def tell(self) -> None:
        """Add what was counted since the last time; what cannot be told now waits."""
        counted = self._ctx.meters.take()
        presence = Presence(self._kind, self._streams())
        if not self._ctx.tallies.add(self._process, presence, counted):
            self._ctx.meters.put_back(counted)

    def close(self) -> None:
        """Tell for the last time."""
        self._closed.set()
        self.tell()
        self._ctx.tallies.leave(self._process)

    def _run(self) -> None:
        while not self._closed.wait(TELL_SECONDS):
            self.tell()


class Page:
    """What `/metrics` shows. Whoever asks within some seconds of another gets the same gauges."""

    def __init__(
        self, ctx: Context, reporter: Reporter, *, monotonic: Callable[[], float] = time.monotonic
    ):
        self._ctx = ctx
        self._reporter = reporter
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._gauges: list[Sample] = []
        self._read_at = float("-inf")

    def text(self) -> bytes:
        """In Prometheus' text format. What cannot be asked now is missing in it."""
        self._reporter.tell()
        totals = self._ctx.tallies.read()
        with self._lock:
            if self._monotonic() - self._read_at >= TELL_SECONDS:
                self._gauges = gauges.of_rows(self._ctx)
                self._read_at = self._monotonic()
            found = list(self._gauges)
        found += gauges.of_processes(self._ctx, totals)
        return exposition(found, {} if totals is None else totals.sums)


def exposition(samples: Iterable[Sample], sums: Mapping[Series, float]) -> bytes:
    """These numbers in Prometheus' text format."""
    # Here, since only who asks for metrics needs it: a web process starts a tenth of a second
    # sooner.
    from prometheus_client import generate_latest

    return generate_latest(_Collected([*_gauges(samples), *_counters(sums), *_histograms(sums)]))


class _Collected:
    """What the library takes for a registry."""

    def __init__(self, families: list[Metric]):
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._families


def _gauges(samples: Iterable[Sample]) -> Iterable[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for gauge, labels, value in samples:
        if gauge.name not in families:
            kind = CounterMetricFamily if gauge.name.endswith("_total") else GaugeMetricFamily
            families[gauge.name] = kind(gauge.name, gauge.help, labels=gauge.labels)
        families[gauge.name].add_metric(labels, value)
    return families.values()


def _counters(sums: Mapping[Series, float]) -> Iterable[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    by_name = _by_name(sums)
    for counter in COUNTERS:
        family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
        for (_, *labels), n in by_name[counter.name]:
            # Another release may count by other labels; its sums lie here for a month.
            if len(labels) == len(counter.labels):
                family.add_metric(labels, n)
        yield family


def _histograms(sums: Mapping[Series, float]) -> Iterable[Metric]:
    from prometheus_client.metrics_core import HistogramMetricFamily

    by_name = _by_name(sums)
    for histogram in HISTOGRAMS:
        family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
        found: dict[Series, dict[str, float]] = defaultdict(dict)
        for (part, *labels), n in by_name[histogram.name]:
            if len(labels) == len(histogram.labels):
                found[tuple(labels)][part] = n
        for values, parts in found.items():
            heights = accumulate(parts.get(part, 0) for part in histogram.parts)
            buckets = list(zip(histogram.parts, heights, strict=True))
            family.add_metric(list(values), buckets, parts.get(SUM, 0))
        yield family


def _by_name(sums: Mapping[Series, float]) -> Mapping[str, list[tuple[Series, float]]]:
    """(part and labels, number) of each counter, in an order of their own."""
    found: dict[str, list[tuple[Series, float]]] = defaultdict(list)
    for (name, *rest), n in sorted(sums.items()):
        found[name].append((tuple(rest), n))
    return found
