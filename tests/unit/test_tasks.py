"""The shape of the workers: every ring finds its task, every queue is served."""

from __future__ import annotations

import inspect
import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from orchestrator import dispatch
from orchestrator.broker import QUEUES, celery_app
from orchestrator.db.queue import DueAttempt
from orchestrator.ids import new_video_id
from orchestrator.lifecycle import AttemptState, Kind
from orchestrator.local.stack import FLOWER_OPTIONS
from orchestrator.rings import Ring, message, polls, stores, submits
from workers import process, tasks

NOWHERE = "redis://127.0.0.1:1/0"
ROOT = Path(__file__).parents[2]
LONGEST_TASK = 5


def make_app() -> Celery:
    """A worker's application that reaches no broker."""
    app = celery_app(NOWHERE)
    tasks.register(app)
    app.finalize()
    return app


def own_tasks(app: Celery) -> dict[str, str]:
    """Our tasks, and the queue that each is routed to."""
    names = [name for name in app.tasks if not name.startswith("celery.")]
    return {name: app.conf.task_routes[name]["queue"] for name in names}


def every_ring() -> list[Ring]:
    """One of each kind of message that is ever published."""
    looks = [DueAttempt("v", 1, state, "default", "a") for state in AttemptState]
    everything_is_configured: Any = SimpleNamespace(
        catalog=SimpleNamespace(provider=lambda *_: object())
    )
    return [
        *submits((str(kind), kind) for kind in Kind),
        *polls([("v", "default", "a")], chunk=1),
        *stores(["v", "w"]),
        Ring("follow", ("default", "a"), "poll"),
        Ring("deliver", ("we_1",), "deliver"),
        *dispatch._look_rings(everything_is_configured, looks),
    ]


def test_every_ring_names_a_task_and_its_queue() -> None:
    """A message goes where the task that it names is served."""
    queues = own_tasks(make_app())

    assert [] == [ring for ring in every_ring() if queues.get(ring.task) != ring.queue]


def test_every_ring_is_one_that_the_code_can_publish() -> None:
    """All `Ring("…")` of the sources are among those tested here."""
    written = set()
    for path in (ROOT / "orchestrator").rglob("*.py"):
        for part in path.read_text().split('Ring("')[1:]:
            written.add(part.partition('"')[0])

    assert written <= {ring.task for ring in every_ring()} | {"poll", "dispatch"}


def test_every_queue_has_a_task() -> None:
    """A queue without a task would be a place where messages stay."""
    assert set(QUEUES) == set(own_tasks(make_app()).values())


def test_every_task_can_be_called_with_what_its_ring_carries() -> None:
    """Arguments and parameters fit."""
    app = make_app()

    for ring in every_ring():
        inspect.signature(app.tasks[ring.task].run).bind(*ring.args)


def test_every_task_carries_ids_only() -> None:
    """Text and lists of text: the truth stays in the database."""
    carried = [
        argument
        for ring in every_ring()
        for value in ring.args
        for argument in (value if isinstance(value, list) else [value])
    ]

    assert [] == [argument for argument in carried if not isinstance(argument, str)]


@pytest.mark.parametrize("name", ["create", "remix", "poll", "store", "reconcile", "watch"])
def test_every_task_is_a_few_lines_around_a_use_case(name: str) -> None:
    """Tasks decide nothing."""
    lines = inspect.getsource(make_app().tasks[name].run).strip().splitlines()

    assert len(lines) <= LONGEST_TASK


def test_procfile_worker_serves_every_queue() -> None:
    """The one worker line names all queues, or none, which means all."""
    (line,) = [
        line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("worker:")
    ]
    words = shlex.split(line)

    named = [word for flag in ("-Q", "--queues") if flag in words
             for word in words[words.index(flag) + 1].split(",")]  # fmt: skip
    assert set(named) in (set(), set(QUEUES))
    assert "workers.app" == words[words.index("-A") + 1]
    assert "threads" == words[words.index("--pool") + 1]


def test_procfile_flower_is_the_one_of_up() -> None:
    """Read-only, on loopback and of bounded memory, however it is started."""
    (line,) = [
        line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("flower:")
    ]
    words = shlex.split(line)

    assert set(FLOWER_OPTIONS) <= set(words)
    assert "--address=${FLOWER_ADDRESS:-127.0.0.1}" in words


def test_longest_message_shows_all_its_ids_to_flower() -> None:
    """What is cut off is not found by a search."""
    ids = [new_video_id() for _ in range(25)]

    (ring,) = submits([(video_id, "create") for video_id in ids])

    shown = json.loads(message(ring))["headers"]["argsrepr"]
    assert [] == [video_id for video_id in ids if video_id not in shown]


def test_worker_acknowledges_early_and_fetches_no_more_than_it_works_on() -> None:
    """The settings on which the leases rely: early acknowledgement, no prefetch, no results."""
    conf = make_app().conf

    assert (False, True, True, None) == (
        conf.task_acks_late,
        conf.worker_disable_prefetch,
        conf.task_ignore_result,
        conf.result_backend,
    )
    assert ["json"] == conf.accept_content
    assert conf.broker_connection_max_retries is None


def test_receivers_of_webhooks_take_only_some_threads() -> None:
    """The others are for videos, however many receivers let us wait."""
    with ExitStack() as busy:
        taken = [busy.enter_context(process.delivering()) for _ in range(process.DELIVERING + 1)]
    with process.delivering() as free:
        pass

    assert [True] * process.DELIVERING + [False] == taken
    assert free


@pytest.mark.parametrize(("stopping", "opened"), [(False, ["one", "other"]), (True, [])])
def test_worker_opens_all_providers_before_the_first_video_comes(
    monkeypatch: pytest.MonkeyPatch, stopping: bool, opened: list[str]
) -> None:
    """The SDK takes a second or two to load; a worker that stops needs it no longer."""
    seen: list[str] = []
    ctx = SimpleNamespace(
        catalog=SimpleNamespace(providers={"1": "one", "2": "other"}),
        pool=SimpleNamespace(get=seen.append),
    )
    monkeypatch.setattr(process, "context", lambda: ctx)
    monkeypatch.setattr(process, "stopping", lambda: stopping)

    process.warm_up()

    assert opened == seen
