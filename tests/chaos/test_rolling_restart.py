"""A deploy under load: every process is stopped with SIGTERM and started again, one after the
other.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.local.ports import free_port
from orchestrator.local.program import Program
from tests.chaos.cluster import Cluster


class Load:
    """Asks for videos without pause, at one web process after the other, as behind a balancer that
    tries the next when one refuses the connection.
    """

    def __init__(self, cluster: Cluster, urls: list[str]):
        self.statuses: list[int] = []
        self._cluster = cluster
        self._urls = urls
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(4)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._stop.wait(0.8):
            self._ask(f"a boat from pier {number}", str(uuid4()))

    def _ask(self, prompt: str, key: str) -> None:
        body = json.dumps({"prompt": prompt, "seconds": 2, "size": "320x240"}).encode()
        for turn in range(200):
            request = urllib.request.Request(
                f"{self._urls[turn % len(self._urls)]}/api/videos",
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": key,
                    "X-User-Id": "admin",
                },
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.statuses.append(answer.status)
                    self._cluster.client.accepted[json.load(answer)["id"]] = "admin"
                    return
            except urllib.error.HTTPError as error:
                self.statuses.append(error.code)
                return
            except OSError:
                time.sleep(0.05)
        self.statuses.append(0)


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_refused_when_everything_is_restarted(folder: Path) -> None:
    """Web finishes what it has begun, workers finish or release, and nobody sees a 5xx."""
    with Cluster(folder, workers=2, schedulers=2) as cluster:
        port = free_port()
        second = Program(
            "web-2",
            [sys.executable, "-m", "orchestrator", "web"],
            {**cluster.env, "PORT": str(port)},
            folder / "logs",
        )
        cluster.programs["web-2"] = second
        second.start()
        urls = {"web": cluster.web_url, "web-2": f"http://127.0.0.1:{port}"}
        cluster.wait_for(urls["web-2"])
        with Load(cluster, list(urls.values())) as load:
            for name in (*urls, "worker-1", "worker-2", "scheduler-1", "scheduler-2"):
                time.sleep(1)
                cluster.restart(name)
                # A deploy takes the next one only when this one is back.
                cluster.wait_for(urls.get(name, cluster.web_url))
        endings = cluster.wait_until_settled(120)

        assert {202} == set(load.statuses)
        assert {"completed": len(cluster.client.accepted)} == dict(endings), cluster.verdict.story()
        assert [] == cluster.verdict.violations(), cluster.verdict.story()
        assert [] == cluster.verdict.paid_twice()
        assert [] == cluster.verdict.unaccounted()
