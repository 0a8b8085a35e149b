"""Makes the files of jobs: one video at a time, in the background, so that no request waits."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from orchestrator.sandbox import render
from orchestrator.sandbox.job import Job
from orchestrator.sandbox.scene import Look, look_of
from orchestrator.sandbox.shelf import Shelf

logger = logging.getLogger(__name__)

Variant = Literal["video", "thumbnail", "spritesheet"]
STILLS: dict[str, tuple[str, str, Callable[[Look], bytes]]] = {
    "thumbnail": ("webp", "image/webp", render.thumbnail),
    "spritesheet": ("jpg", "image/jpeg", render.spritesheet),
}
INSTANT_LOOK = look_of("instant", "sandbox", (64, 64), 1)


class Studio:
    """Renders what it is given and keeps it on a shelf.

    `done(job_id, error)` is told of each video: error None when its bytes exist. `wanted(job_id)`
    is asked before and while rendering. With `instant`, every video is the same tiny one.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        container: str,
        instant: bool,
        wanted: Callable[[str], bool],
        done: Callable[[str, str | None], None],
    ):
        self._shelf, self._container, self._instant = shelf, container, instant
        self._wanted, self._done = wanted, done
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._rendering = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sandbox-studio", daemon=True)
        if instant:
            self._video(INSTANT_LOOK, self._closed.is_set)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Make the job's video some time."""
        self._waiting.put(job)

    def content(self, job: Job, variant: Variant) -> tuple[bytes, str]:
        """The bytes and media type; made now if they are not on the shelf."""
        look = INSTANT_LOOK if self._instant else job.look
        if variant == "video":
            data = self._video(look, self._closed.is_set)
            return render.stamped(data, job.id), render.CONTAINERS[self._container].mime
        suffix, mime, make = STILLS[variant]
        name = f"{look.digest}.{suffix}"
        data = self._shelf.get(name) or b""
        if not data:
            data = make(look)
            self._shelf.put(name, data)
        return data, mime

    def close(self) -> None:
        """Stop, at the next frame at the latest."""
        self._closed.set()
        self._waiting.put(None)
        self._thread.join(timeout=3)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None and not self._closed.is_set():
            if not self._wanted(job.id):
                continue
            try:
                self._video(job.look, partial(self._unwanted, job.id))
            except render.RenderCancelledError:
                continue
            except Exception as failure:
                # Whatever the codec dislikes, the next video is not to suffer from it.
                logger.exception("job %s could not be rendered", job.id)
                self._done(job.id, str(failure))
            else:
                self._done(job.id, None)

    def _unwanted(self, job_id: str) -> bool:
        return self._closed.is_set() or not self._wanted(job_id)

    def _video(self, look: Look, cancelled: Callable[[], bool]) -> bytes:
        name = f"{look.digest}.{self._container}"
        kept = self._shelf.get(name)
        if kept is not None:
            return kept
        with self._rendering:
            data = self._shelf.get(name) or render.video(look, self._container, cancelled)
            self._shelf.put(name, data)
        return data
