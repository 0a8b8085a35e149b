"""Ten times as many at work: how the cost of looking after them grows, while as many come to their
end each second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench.lifecycle import WITHOUT_STORE, Watch, detection
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.provider import asked, begun
from bench.stack import Stack, running
from bench.stage import Stage

FEW, MANY = "orchestrator, 10,000 at work", "orchestrator, 100,000 at work"
_SHORT_FEW, _SHORT_MANY = "orchestrator, 500 at work", "orchestrator, 5,000 at work"
_MEAN_SECONDS = 200.0
"""How long one of the few takes; one of the many takes ten times as long."""
_WARMUP_SECONDS = 30.0
_LONG_WARMUP_SECONDS = 120.0
"""So long it takes to claim 100,000 at once, and to learn how long they take. The few would have
come to their end meanwhile.
"""
# As they lie there once they have been looked at. What they were asked for is a document of the
# provider's numbers.
_BEGUN = """
with given as (select n - 1 as n, age, 'video_' || lpad(to_hex(n - 1), 32, '0') as id,
    'user-' || n %% 100 as user_id, now() - age * interval '1 s' as at
  from unnest(%(ages)s) with ordinality g(age, n)),
v as (insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account,
    progress, step, due_at, admitted_at, created_at, rank_at, deadline_at, quota_period,
    fingerprint, seq)
  select id, user_id, %(model)s, 'in_progress', replace(%(prompt)s, '#', n::text), %(size)s,
    %(seconds)s, 'fast', 'bench', 50, 'poll', now() + random() * interval '10 s', at, at, at,
    at + interval '1 hour', now(), md5(id), 3 from given)
insert into attempts (video_id, n, user_id, provider, account, state, sent_at, accepted_at,
  provider_video_id, canonical_id)
select id, 1, user_id, 'fast', 'bench', 'accepted', at, at, id, id from given"""


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    few, many = (FEW, MANY) if scale.full else (_SHORT_FEW, _SHORT_MANY)
    number = 10_000 if scale.full else 500
    yield [
        Contestant(few, partial(_run, stage, scale, number, _MEAN_SECONDS)),
        Contestant(many, partial(_run, stage, scale, 10 * number, 10 * _MEAN_SECONDS)),
    ]


def _run(stage: Stage, scale: Scale, number: int, mean: float) -> Metrics:
    """Let workers find so many at work, and look at what a while costs."""
    durations = (mean * 2 / 3, mean * 4 / 3)
    queues = [WITHOUT_STORE, "store"]
    with running(stage, scale, queues=queues, durations=durations, begun=number) as stack:
        _begin(stack, [age for age, _ in begun(number, *durations)])
        time.sleep(_LONG_WARMUP_SECONDS if number > 10_000 else _WARMUP_SECONDS)
        watch = Watch(stack)
        before, cpu, since = stack.seen()["calls"], _cpu(stack), time.time()
        with watch:
            time.sleep(20 * scale.seconds)
        cpu, calls, seconds = _cpu(stack) - cpu, stack.seen()["calls"], time.time() - since
        ended = stack.stage.query(stack.database_url, _ENDED, (since,))[0][0]
        looks = sum(calls.get(kind, 0) - before.get(kind, 0) for kind in ("list", "retrieve"))
        return {
            "most_in_flight": watch.most_in_flight,
            "ended_per_second": ended / seconds,
            "worker_cpu_percent": cpu / seconds * 100,
            "looks_per_second": looks / seconds,
            **detection(stack, since=since),
            "memory_mb": watch.most_memory,
        }


_ENDED = "select count(*) from attempts where ended_at > to_timestamp(%s)"


def _begin(stack: Stack, ages: Sequence[float]) -> None:
    like = {**asked(0), "prompt": asked(0)["prompt"].replace("0", "#")}
    stack.stage.query(stack.database_url, _BEGUN, {"ages": ages, **like})
    stack.stage.sql(stack.database_url, "vacuum analyze videos, attempts")


def _cpu(stack: Stack) -> float:
    """Seconds of the worker that looks."""
    return stack.workers[0].cpu_seconds()


MEASUREMENT = Measurement(
    "crowd",
    "Many at work",
    _contestants,
    (
        Goal(
            "Worker CPU with 100,000 at work, of 10,000",
            MANY,
            "worker_cpu_percent",
            "at most",
            10,
            FEW,
        ),
        Goal(
            "Worker CPU with 5,000 at work, of 500",
            _SHORT_MANY,
            "worker_cpu_percent",
            "at most",
            10,
            _SHORT_FEW,
        ),
    ),
    chart=None,
    once=True,
)
