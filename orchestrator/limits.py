"""Things that should happen at most so often. In Redis, so that all processes share them; without
Redis each process
counts for itself: sane, if a little looser."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_LOCAL_MAX = 10_000


class Limits:
    """Shared throttles. `monotonic` is a clock in seconds."""

    def __init__(
        self,
        url: str,
        *,
        client: redis.Redis | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._redis = client or redis.Redis.from_url(
            url,
            socket_timeout=0.2,
            socket_connect_timeout=0.2,
            retry=Retry(NoBackoff(), 0),
        )
        self._monotonic = monotonic
        self._local: dict[str, float] = {}
        self._lock = Lock()

    def once(self, name: str, seconds: float) -> bool:
        """True for the first who asks in `seconds`, false for all others."""
        if not self._first_here(name, seconds):
            return False
        try:
            return bool(
                self._redis.set(f"sora:once:{name}", 1, nx=True, px=max(1, round(seconds * 1000)))
            )
        except redis.RedisError:
            return True

    def _first_here(self, name: str, seconds: float) -> bool:
        now = self._monotonic()
        with self._lock:
            if self._local.get(name, 0.0) > now:
                return False
            if len(self._local) >= _LOCAL_MAX:
                self._local = {key: until for key, until in self._local.items() if until > now}
                if len(self._local) >= _LOCAL_MAX:
                    self._local.clear()
            self._local[name] = now + seconds
            return True

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()
