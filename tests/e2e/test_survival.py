"""What `orchestrator up` survives, and what Flower shows of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from orchestrator.local.stack import Stack

pytestmark = pytest.mark.timeout(400)

CREDENTIALS = "visitor:secret"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def stack(service_folder: Path) -> Iterator[Stack]:
    """A stack with Flower, whose clocks do not make a test wait."""
    env = {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "FLOWER_PORT": "0",
        "FLOWER_BASIC_AUTH": CREDENTIALS,
        "FLOWER_URL_PREFIX": "ops/flower",
        "LEASE_SECONDS": "3",
        "RECONCILE_GRACE_SECONDS": "2",
        "POLL_MIN_SECONDS": "1",
    }
    with Stack(service_folder / "survival", env) as running:
        yield running


def call(url: str, body: Any = None, *, credentials: str | None = None) -> Any:
    """JSON for JSON."""
    headers = {"Content-Type": "application/json"}
    if credentials is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(fits: Callable[[Any], bool], look: Callable[[], Any]) -> Any:
    """What `look` sees, once it fits."""
    deadline = time.monotonic() + PATIENCE
    while not fits(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    return seen


def worker_pids(stack: Stack) -> list[int]:
    """The workers of this stack and of no other."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "worker" in command and "workers.app" in command:
            try:
                url = process.environ().get("DATABASE_URL")
            except psutil.Error:
                continue
            if url == stack.env["DATABASE_URL"]:
                found.append(process.pid)
    return found


def test_video_completes_when_its_worker_is_killed_and_redis_wiped(stack: Stack) -> None:
    """Neither the worker's memory nor the broker's was needed."""
    video = call(f"{stack.web_url}/api/videos", {"prompt": "a lighthouse", "size": "320x240"})
    url = f"{stack.web_url}/api/videos/{video['id']}"
    until(lambda seen: seen["status"] == "in_progress", lambda: call(url))

    for pid in worker_pids(stack):
        os.kill(pid, signal.SIGKILL)
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as client:
        client.flushall()

    ended = until(lambda seen: seen["status"] not in {"queued", "in_progress"}, lambda: call(url))
    assert "completed" == ended["status"]


def test_flower_lists_workers_and_tasks_to_those_who_may_look(stack: Stack) -> None:
    """A video's work is found by its id; without the password nothing is shown."""

    def listens() -> bool:
        try:
            urllib.request.urlopen(f"{stack.flower_url}/healthcheck", timeout=10).close()
        except urllib.error.URLError:
            return False
        return True

    until(bool, listens)

    def work_on(wanted: set[str]) -> bool:
        """Whether it comes to show these tasks of a new video."""
        video = call(f"{stack.web_url}/api/videos", {"prompt": "a garden", "size": "320x240"})

        def shown() -> set[str]:
            tasks = call(f"{stack.flower_url}/api/tasks", credentials=CREDENTIALS)
            return {task["name"] for task in tasks.values() if video["id"] in str(task["args"])}

        return bool(until(lambda names: wanted <= names, shown))

    # The worker tells of nothing until Flower has asked it to, some time after it listens.
    seen = work_on({"store"}) and work_on({"create", "poll", "store"})
    workers = call(f"{stack.flower_url}/api/workers?refresh=1", credentials=CREDENTIALS)
    assert seen
    assert any(name.startswith("worker@") for name in workers)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        call(f"{stack.flower_url}/api/tasks")
