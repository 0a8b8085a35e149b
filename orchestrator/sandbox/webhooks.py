"""Tells a receiver that a job has ended, signed as Standard Webhooks lays down.

The payload names the job and nothing else: whoever is told has to look. A few threads share one
schedule, so that one slow receiver does not hold up the rest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

THREADS = 4
TIMEOUT_SECONDS = 5.0
# After a failed call: how long until the next one; then it is given up.
RETRY_SECONDS = (1.0, 5.0, 30.0)
# How soon to look again at a job whose time has come, but whose bytes are still being made.
LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: the same id in each attempt to deliver it."""

    id: str
    type: str
    job_id: str
    created_at: int

    def body(self) -> bytes:
        """The payload."""
        fields = {
            "id": self.id,
            "object": "event",
            "created_at": self.created_at,
            "type": self.type,
        }
        return json.dumps({**fields, "data": {"id": self.job_id}}).encode()


def signing_key(secret: str) -> bytes:
    """The bytes of a secret. Raises ValueError if it begins with whsec_ and is no base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("webhook_secret must be whsec_ and base64, or any other text") from None


def signed_headers(notice: Notice, body: bytes, key: bytes, now: float) -> dict[str, str]:
    """The headers that prove where the body comes from; `now` in unix seconds."""
    moment = str(int(now))
    message = b".".join([notice.id.encode(), moment.encode(), body])
    signature = base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "sandbox-webhooks/1",
        "webhook-id": notice.id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{signature}",
    }


class Webhooks:
    """Watches jobs and reports their ends.

    `outcome(job_id)` says how a job stands: "completed", "failed", "open" or "gone" (nothing to
    tell). `shown_id(job_id)` is the id that its client knows.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        clock: Callable[[], float],
        outcome: Callable[[str], str],
        shown_id: Callable[[str], str],
    ):
        self._url, self._key = urlsplit(url), signing_key(secret)
        self._clock, self._outcome, self._shown_id = clock, outcome, shown_id
        self._due: list[tuple[float, int, str, Notice | None, int]] = []
        self._counter = 0
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"sandbox-webhooks-{number}", daemon=True)
            for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def watch(self, job_id: str, due: float) -> None:
        """Report the job once it has ended, which is not before `due` (unix seconds)."""
        self._schedule(due, job_id, None, 0)

    def close(self) -> None:
        """Stop at once; what is not delivered stays undelivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=0.5)

    def _schedule(self, due: float, job_id: str, notice: Notice | None, tries: int) -> None:
        with self._changed:
            self._counter += 1
            heapq.heappush(self._due, (due, self._counter, job_id, notice, tries))
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._due or self._due[0][0] > self._clock()):
                    wait = self._due[0][0] - self._clock() if self._due else None
                    self._changed.wait(wait)
                if self._closed:
                    return
                _, _, job_id, notice, tries = heapq.heappop(self._due)
            self._advance(job_id, notice, tries)

    def _advance(self, job_id: str, notice: Notice | None, tries: int) -> None:
        now = self._clock()
        if notice is None:
            outcome = self._outcome(job_id)
            if outcome == "open":
                self._schedule(now + LOOK_AGAIN_SECONDS, job_id, None, 0)
            if outcome not in {"completed", "failed"}:
                return
            event_id = f"evt_{secrets.token_hex(16)}"
            notice = Notice(event_id, f"video.{outcome}", self._shown_id(job_id), int(now))
        if not self._delivered(notice, now) and tries < len(RETRY_SECONDS):
            self._schedule(now + RETRY_SECONDS[tries], job_id, notice, tries + 1)

    def _delivered(self, notice: Notice, now: float) -> bool:
        body = notice.body()
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            connection.request("POST", path, body, signed_headers(notice, body, self._key, now))
            status = connection.getresponse().status
        except (OSError, HTTPException) as failure:
            logger.warning("webhook %s was not delivered: %s", notice.id, failure)
            return False
        finally:
            connection.close()
        if not 200 <= status < 300:
            logger.warning("webhook %s was answered with %d", notice.id, status)
        return 200 <= status < 300
