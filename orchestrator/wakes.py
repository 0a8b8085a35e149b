"""Says to all processes which videos have changed, through Redis. A hint like a ring: it may be
lost or doubled, names ids only, and whoever hears it looks in PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread

import redis
import structlog

from orchestrator.breaker import Breaker
from orchestrator.redis_client import open_client

Change = tuple[str, str]
"""(user id, video id)"""

CHANNEL = "sora:wakes"
_WAITING = 10_000
_AT_ONCE = 1000
_PAUSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Wakes:
    """Tells and hears of changes. Opens connections with the first use; never raises for Redis."""

    def __init__(self, url: str, *, client: redis.Redis | None = None):
        # Nobody waits for these threads, and a wake that is given up costs seconds.
        self._redis = client or open_client(url, patience=2)
        self._breaker = Breaker()
        self._changes: Queue[Change | None] = Queue(_WAITING)
        self._teller: Thread | None = None
        self._lock = Lock()
        self._closed = Event()

    def tell(self, changes: Iterable[Change]) -> None:
        """Let everybody know, soon: a thread publishes what has gathered since its last turn, so
        that no request waits for Redis.
        """
        with self._lock:
            if self._teller is None:
                self._teller = Thread(target=self._publish, name="wakes", daemon=True)
                self._teller.start()
        with suppress(Full):
            for change in changes:
                self._changes.put_nowait(change)

    def hear(self, heard: Callable[[list[Change]], None], stopped: Event) -> None:
        """Call `heard` with what others tell, until `stopped` is set. One subscription serves a
        whole process.
        """
        while not stopped.is_set() and not self._closed.is_set():
            try:
                self._subscribe(heard, stopped)
            # A connection that `close` takes away in the middle of a read fails as a closed file.
            except (redis.RedisError, OSError, ValueError) as error:
                log.debug("wakes_unavailable", error=type(error).__name__)
                stopped.wait(_PAUSE_SECONDS)

    def close(self) -> None:
        """Publish what is left, and close the connections."""
        self._closed.set()
        with self._lock:
            teller, self._teller = self._teller, None
        if teller is not None:
            with suppress(Full):
                self._changes.put_nowait(None)
            teller.join(_PAUSE_SECONDS)
        self._redis.close()

    def _publish(self) -> None:
        while (change := self._changes.get()) is not None:
            batch = {change: None}
            ended = False
            with suppress(Empty):
                while len(batch) < _AT_ONCE and not ended:
                    following = self._changes.get_nowait()
                    ended = following is None
                    if following is not None:
                        batch[following] = None
            if not self._breaker.is_open:
                try:
                    self._redis.publish(CHANNEL, json.dumps(list(batch)))
                except redis.RedisError as error:
                    self._breaker.trip()
                    log.debug("wakes_unavailable", error=type(error).__name__)
            if ended:
                return

    def _subscribe(self, heard: Callable[[list[Change]], None], stopped: Event) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(CHANNEL)
            while not stopped.is_set():
                message = channel.get_message(timeout=0.5)
                if message is not None:
                    heard(_changes(message["data"]))


def _changes(data: bytes | str) -> list[Change]:
    """What a message says; nothing, if it is not one of ours."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    if not isinstance(found, list):
        return []
    return [
        (pair[0], pair[1])
        for pair in found
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)
    ]
