"""Who asks a cluster for videos, and the operator who decides about those that are held."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.chaos.provider import Provider, video_of

# What a profile's server renders at all; the smallest that it does.
SHAPES = {"azure": ("4", "720x1280")}
SMALLEST = ("2", "320x240")


class Client:
    """Asks `web_url` for videos, and remembers in `accepted` whose they are. Where `webhook_url` is
    set, every video asks to be told of its end there.
    """

    def __init__(self, web_url: str, profile: str):
        self.web_url = web_url
        self.webhook_url: str | None = None
        self.accepted: dict[str, str] = {}
        self._shape = SHAPES.get(profile, SMALLEST)

    def submit(self, prompt: str, *, user: str = "ann", patience: float = 60) -> str:
        """Ask for a video as a careful client does: again and again with the same key, until it is
        accepted.
        """
        seconds, size = self._shape
        body = {"prompt": prompt, "seconds": seconds, "size": size}
        if self.webhook_url is not None:
            body["webhook_url"] = self.webhook_url
        headers = {"X-User-Id": user, "Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + patience
        while True:
            try:
                video_id: str = self._call("/api/videos", body, headers)["id"]
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise AssertionError((error.code, error.read()[:500])) from None
            except OSError:
                pass
            else:
                self.accepted[video_id] = user
                return video_id
            if time.monotonic() > deadline:
                raise AssertionError("nobody accepts videos any longer")
            time.sleep(0.1)

    def cancel(self, video_id: str) -> None:
        """Cancel, if it is not too late and web is there."""
        user = {"X-User-Id": self.accepted[video_id]}
        with contextlib.suppress(OSError):
            self._call(f"/api/videos/{video_id}/cancel", {}, user)

    def decide(self, provider: Provider, *, after: float) -> int:
        """Decide about what has been held for `after` seconds, as an operator does who looks it up
        at the provider: adopt what is there, retry what is not. Returns how many were decided.
        """
        admin = {"X-User-Id": "admin"}
        decided = 0
        with contextlib.suppress(OSError):
            held = self._call("/api/admin/held", None, admin)["data"]
            there = {video_of(job): job["public_id"] for job in provider.jobs()}
            for video in held:
                if _age(video["attempt"]["unknown_at"]) < after:
                    continue
                found = there.get(video["id"])
                decision = {"decision": "adopt", "provider_video_id": found}
                self._call(
                    f"/api/admin/held/{video['id']}",
                    decision if found else {"decision": "retry"},
                    admin,
                )
                decided += 1
        return decided

    def _call(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            self.web_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _age(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
