"""The header `Prefer: wait=N` (RFC 7240): answer when the video is finished, or after N seconds.

Each that waits holds a thread, so only some may; the others are answered at once, as if they had
not asked. A client that has no Preference-Applied in its answer knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import BoundedSemaphore, Event
from time import monotonic
from typing import Any, cast

from flask import Flask, current_app, request

from api.current import caller, context
from orchestrator import videos
from orchestrator.context import Context
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import LIVE

HEADER = "Prefer"
APPLIED = "Preference-Applied"
LONGEST = 60
EXTENSION = "waiting_room"
_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?\s*\Z", re.ASCII | re.IGNORECASE)
_FIRST_LOOK, _LONGEST_PAUSE = 0.1, 1.0

Json = dict[str, Any]


class WaitingRoom:
    """Lets so many wait at a time; `sleep` and `monotonic` are clocks in seconds."""

    def __init__(
        self,
        seats: int,
        *,
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = monotonic,
    ):
        self._seats = BoundedSemaphore(seats)
        self._closed = Event()
        self._sleep = sleep or self._closed.wait
        self._monotonic = monotonic

    def close(self) -> None:
        """Answer all who wait, and whoever comes later, at once: with the video as it is."""
        self._closed.set()

    def wait(self, body: Json, seconds: int, look: Callable[[], Json]) -> Json | None:
        """The video as `look` finds it once it is finished, or when the time is over. None: there
        is no seat.

        Args:
            body: the video as it is now.
        """
        if not _live(body):
            return body
        if not self._seats.acquire(blocking=False):
            return None
        try:
            return self._until_finished(body, seconds, look)
        finally:
            self._seats.release()

    def _until_finished(self, body: Json, seconds: int, look: Callable[[], Json]) -> Json:
        until = self._monotonic() + seconds
        pause = _FIRST_LOOK
        while _live(body) and (left := until - self._monotonic()) > 0:
            if self._closed.is_set():
                return body
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            try:
                body = look()
            except OrchestratorError:
                # It was deleted, or the database is away: what was known is the answer.
                return body
        return body


def install(app: Flask, ctx: Context) -> None:
    """Let requests of this application wait, on a quarter of its threads at most."""
    app.extensions[EXTENSION] = WaitingRoom(max(1, ctx.settings.web_threads // 4))


def room_of(app: Flask) -> WaitingRoom:
    """Where this application's requests wait."""
    return cast(WaitingRoom, app.extensions[EXTENSION])


def waited(body: Json) -> tuple[Json, dict[str, str]]:
    """A video as this request prefers to be told of it, and the headers that say so."""
    seconds = preferred(request.headers.get(HEADER, ""))
    if seconds is None:
        return body, {}
    found = room_of(current_app).wait(
        body, seconds, lambda: videos.get(context(), caller(), body["id"])
    )
    if found is None:
        return body, {}
    return found, {APPLIED: f"wait={seconds}"}


def preferred(header: str) -> int | None:
    """How many seconds this header asks to wait, 60 at most; None: not at all, or unreadable.
    Several ones have been joined by commas on the way.
    """
    for preference in header.split(","):
        match = _WAIT.match(preference.partition(";")[0].strip())
        if match is not None:
            return min(int(match[1]), LONGEST) or None
    return None


def _live(body: Json) -> bool:
    return body["status"] in LIVE
