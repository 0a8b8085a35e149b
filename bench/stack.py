"""The whole product under measurement: web, workers, scheduler and a fast provider."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.child import Child, answers
from bench.measurement import Scale
from bench.stage import Stage, Web
from bench.users import User, enrol
from orchestrator.local.ports import free_port

_PATIENCE_SECONDS = 900.0
_PROVIDERS = """
[providers.fast]
profile = "vllm-omni"
base_url = "{url}/v1"
account = "bench"
echoes = ["model", "seconds", "size", "prompt"]
sizes = ["720x1280"]
poll_min_seconds = 1.0
"""
"""A paged list that shows whole requests, and no pictures besides the video."""


@dataclass(frozen=True, slots=True)
class Stack:
    """All that runs. `workers` are in the order in which they were asked for."""

    stage: Stage
    database_url: str
    users: Sequence[User]
    web: Web
    workers: Sequence[Child]
    provider_url: str

    def seen(self) -> dict[str, Any]:
        """What the provider was asked, see `bench.provider`."""
        with urllib.request.urlopen(f"{self.provider_url}/seen", timeout=30) as answer:  # noqa: S310 - ours
            found: dict[str, Any] = json.load(answer)
            return found


def wait_for(stage: Stage, database_url: str, number: int) -> None:
    """Return once so many videos of our users are completed.

    Raises:
        RuntimeError: it takes too long, or one has failed.
    """
    query = (
        "select count(*) filter (where status = 'completed'), count(*) filter (where status = "
        "'failed') from videos where user_id like 'user-%'"
    )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        ((completed, failed),) = stage.query(database_url, query)
        if completed >= number:
            return
        if failed or time.monotonic() > deadline:
            raise RuntimeError(f"{completed} of {number} completed, {failed} failed")
        time.sleep(0.2)


@contextmanager
def running(
    stage: Stage,
    scale: Scale,
    *,
    queues: Sequence[str] = ("",),
    app: str = "workers.app",
    durations: tuple[float, float] = (0.0, 0.0),
    begun: int = 0,
) -> Iterator[Stack]:
    """A stack with an empty database and a worker process for each of `queues` (empty: all of
    them), until the block ends. `durations`, `begun`: see `bench.provider`.
    """
    url = stage.database("stack")
    users = enrol(url, 100)
    port = free_port()
    catalog = stage.folder / "providers.toml"
    provider_url = f"http://127.0.0.1:{port}"
    catalog.write_text(_PROVIDERS.format(url=provider_url))
    env = stage.environment(url, PROVIDERS_FILE=str(catalog))
    with ExitStack() as stack:
        argv = ["bench.provider", str(port), *map(str, durations), str(begun)]
        provider = stack.enter_context(stage.program("provider", argv, env))
        provider.wait_until(lambda: answers(f"{provider_url}/seen"))
        web = stack.enter_context(
            stage.web(url, processes=scale.processes, PROVIDERS_FILE=str(catalog))
        )
        workers = [
            stack.enter_context(stage.worker(env, name=f"worker-{n}", app=app, queues=names))
            for n, names in enumerate(queues)
        ]
        stack.enter_context(stage.scheduler(env))
        yield Stack(stage, url, users, web, workers, provider_url)
