"""Whole lives of videos: as many as workers can finish in a burst, and many at once over time."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import quantiles

from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stack import Stack, running, wait_for
from bench.stage import Stage

BURST = "orchestrator, burst, 1 worker process"
BURST_TWO = "orchestrator, burst, 2 worker processes"
STEADY = "orchestrator, {:,} in flight"
WITHOUT_STORE = "dispatch,create,remix,poll,deliver"
_STEP_SECONDS = 0.25


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    burst = 5000 if scale.full else 500
    # As many in flight as the goal says, but no more that begin and end each second than suit the
    # machine: else this would show how a backlog grows.
    slower = 1 / min(1.0, scale.pace)
    durations = (20.0 * slower, 40.0 * slower) if scale.full else (10.0, 20.0)
    in_flight, name = (10_000, _FULL) if scale.full else (500, _SHORT)
    yield [
        Contestant(BURST, partial(_burst, stage, scale, burst, 1)),
        Contestant(BURST_TWO, partial(_burst, stage, scale, burst, 2)),
        Contestant(name, partial(_steady, stage, scale, in_flight, durations)),
    ]


_FULL, _SHORT = STEADY.format(10_000), STEADY.format(500)


def _burst(stage: Stage, scale: Scale, number: int, workers: int) -> Metrics:
    """All at once. The rate is that of the middle four fifths, without the way in and out."""
    with running(stage, scale, queues=[""] * workers) as stack:
        stage.settle()
        cpu = sum(worker.cpu_seconds() for worker in stack.workers)
        for start in range(0, number, 500):
            _submit(stack, min(500, number - start), start)
        wait_for(stage, stack.database_url, number)
        cpu = sum(worker.cpu_seconds() for worker in stack.workers) - cpu
        spread = (
            "select extract(epoch from percentile_disc(0.9) within group (order by completed_at) "
            "- percentile_disc(0.1) within group (order by completed_at)) from videos "
            "where status = 'completed'"
        )
        ((middle,),) = stage.query(stack.database_url, spread)
        return {
            "per_second": 0.8 * number / float(middle),
            "worker_cpu_ms": cpu / number * 1e3,
            **_provider_calls(stack, number),
            "memory_mb": max(worker.memory_mb() for worker in stack.workers),
        }


def _steady(stage: Stage, scale: Scale, in_flight: int, durations: tuple[float, float]) -> Metrics:
    """As many arrive as end, for twice the time that the longest takes.

    One worker does all but the downloads and another one those, so that each can be told apart.
    """
    rate = in_flight / (sum(durations) / 2)
    number = round(rate * 2 * durations[1])
    queues = [WITHOUT_STORE, "store"]
    with running(stage, scale, queues=queues, durations=durations) as stack:
        before = [worker.cpu_seconds() for worker in stack.workers]
        watch = Watch(stack)
        with watch:
            _arrive(stack, number, rate)
            wait_for(stage, stack.database_url, number)
        used = [
            worker.cpu_seconds() - cpu for worker, cpu in zip(stack.workers, before, strict=True)
        ]
        return {
            "most_in_flight": watch.most_in_flight,
            **_provider_calls(stack, number),
            **detection(stack),
            "worker_cpu_without_store_ms": used[0] / number * 1e3,
            "worker_cpu_ms": sum(used) / number * 1e3,
            "memory_mb": watch.most_memory,
        }


def _arrive(stack: Stack, number: int, rate: float) -> None:
    began, sent = time.monotonic(), 0
    while sent < number:
        due = min(number, round((time.monotonic() - began + _STEP_SECONDS) * rate))
        if due > sent:
            _submit(stack, due - sent, sent)
            sent = due
        time.sleep(_STEP_SECONDS)


def _submit(stack: Stack, number: int, start: int) -> None:
    """Ask for so many videos with prompts of their own, each time in another user's name."""
    user = stack.users[start % len(stack.users)]
    videos = [
        {"prompt": f"A paper boat passes lantern {start + n}", "size": "720x1280", "seconds": "4"}
        for n in range(number)
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.web.port}/api/videos/batch",
        data=json.dumps({"videos": videos}).encode(),
        headers={**user.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - a server of ours
        answer.read()


def _provider_calls(stack: Stack, number: int) -> Metrics:
    """Looks a video: what was asked besides the create and the download."""
    calls = stack.seen()["calls"]
    return {"looks_per_video": (calls.get("list", 0) + calls.get("retrieve", 0)) / number}


def detection(stack: Stack, *, since: float = 0.0) -> Metrics:
    """From the moment when the provider was done to the moment when we had written that down, of
    those that were done after `since` (Unix time).
    """
    done = {video_id: at for video_id, at in stack.seen()["done"].items() if at > since}
    rows = stack.stage.query(
        stack.database_url,
        "select provider_video_id, extract(epoch from ended_at)::float from attempts "
        "where ended_at is not null",
    )
    waits = [at - done[video_id] for video_id, at in rows if video_id in done]
    points = quantiles(waits, n=100)
    return {"detection_p50_ms": points[49] * 1e3, "detection_p99_ms": points[98] * 1e3}


class Watch:
    """Notes the highest values while its block runs."""

    def __init__(self, stack: Stack):
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.most_in_flight = 0
        self.most_memory = 0.0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        query = "select count(*) from attempts where ended_at is null"
        while not self._stop.wait(1.0):
            ((now,),) = self._stack.stage.query(self._stack.database_url, query)
            memory = max(worker.memory_mb() for worker in self._stack.workers)
            self.most_in_flight = max(self.most_in_flight, now)
            self.most_memory = max(self.most_memory, memory)


def _goals(steady: str) -> list[Goal]:
    return [
        Goal("Looks a video", steady, "looks_per_video", "at most", 1.3),
        Goal("p99 of the detection (ms)", steady, "detection_p99_ms", "at most", 1000, paced=True),
        Goal(
            "Worker CPU a video without download (ms)",
            steady,
            "worker_cpu_without_store_ms",
            "at most",
            4,
            paced=True,
        ),
        Goal("Worker CPU a video (ms)", steady, "worker_cpu_ms", "at most", 5, paced=True),
        Goal("Memory of a worker (MiB)", steady, "memory_mb", "at most", 200),
    ]


MEASUREMENT = Measurement(
    "lifecycle",
    "Whole lives of videos",
    _contestants,
    (
        Goal(
            "Lives a second in one worker process", BURST, "per_second", "at least", 250, paced=True
        ),
        *_goals(_FULL),
        *_goals(_SHORT),
    ),
    once=True,
)
