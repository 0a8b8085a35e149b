"""The sandbox of a cluster, from its operator's side: what it does wrong, and what it has taken."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from typing import Any


class Provider:
    """A sandbox at `url`. Counts what struck, over all changes of its faults."""

    def __init__(self, url: str):
        self.url = url
        self._struck: Counter[str] = Counter()

    def faults(self, text: str) -> None:
        """Let it misbehave like this, and no longer as before."""
        self.note()
        self._call("/sandbox/faults", "PUT", {"faults": text})

    def note(self) -> None:
        """Remember what struck so far: the sandbox starts counting anew with other faults."""
        self._struck += Counter(self._call("/sandbox/faults", "GET")["fired"])
        self._call("/sandbox/faults", "PUT", {"faults": ""})

    def struck(self) -> Counter[str]:
        """How often each fault has struck, as `create.500`."""
        return self._struck + Counter(self._call("/sandbox/faults", "GET")["fired"])

    def forget(self) -> None:
        """Lose every job, as a restart without a memory does."""
        self._call("/sandbox/forget", "POST")

    def jobs(self) -> list[dict[str, Any]]:
        """Everything that it has ever taken, oldest first; what it forgot is marked as `gone`."""
        jobs: list[dict[str, Any]] = self._call("/sandbox/state", "GET")["jobs"]
        return jobs

    def creations(self) -> Counter[str]:
        """How often it took each of our videos. An attempt's id is the key that we send."""
        return Counter(video_of(job) for job in self.jobs())

    def _call(self, path: str, method: str, body: Any = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def video_of(job: dict[str, Any]) -> str:
    """Our id of the video that a job was asked for."""
    return str(job["idempotency_key"]).rpartition("-")[0]
