"""Things that should happen at most so often. In Redis, so that all processes share them; without
Redis each process counts for itself: sane, if a little looser.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import redis

from orchestrator.breaker import Breaker
from orchestrator.redis_client import open_client

_LOCAL_MAX = 10_000
_AWAY_SECONDS = 5.0
_WINDOW = 60.0

Answer = TypeVar("Answer")

# A token bucket in one number (GCRA): when all that was taken will be given back. Redis' own clock,
# so that processes need not agree on the time. KEYS: the bucket. ARGV: microseconds that a request
# takes to be given back, and that a full bucket takes. Returns whether there was one left, and the
# microseconds until the bucket is full again.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = full + ARGV[1]
if after - now > tonumber(ARGV[2]) then return {0, full - now} end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, after - now}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one request that counts. `limit`: requests a minute. `remaining`: how many may
    follow at once. `full_after`, `retry_after`: seconds until all may, and until one may.
    """

    allowed: bool
    limit: int
    remaining: int
    full_after: float
    retry_after: float


class Limits:
    """Shared throttles. `monotonic` is a clock in seconds."""

    def __init__(
        self,
        url: str,
        *,
        client: redis.Redis | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._redis = client or open_client(url, patience=0.2)
        self._monotonic = monotonic
        self._local: dict[str, float] = {}
        self._buckets: dict[str, float] = {}
        self._fuse = Breaker(monotonic, seconds=_AWAY_SECONDS)
        self._lock = Lock()
        self._take = self._redis.register_script(_TAKE)

    def take(self, name: str, per_minute: int) -> Taken:
        """Count one request of `name`, of which `per_minute` may come at once and are given back
        evenly over a minute.
        """
        found = self._take_shared(name, per_minute)
        allowed, full_after = self._take_here(name, per_minute) if found is None else found
        interval = _WINDOW / per_minute
        return Taken(
            allowed=allowed,
            limit=per_minute,
            # A hair's breadth for what is rounded off on the way.
            remaining=max(0, int((_WINDOW - full_after) / interval + 1e-6)),
            full_after=full_after,
            retry_after=max(0.0, full_after + interval - _WINDOW),
        )

    def _take_shared(self, name: str, per_minute: int) -> tuple[bool, float] | None:
        """None: Redis is away."""
        arguments = [round(_WINDOW * 1e6 / per_minute), round(_WINDOW * 1e6)]
        found: Any = self._shared(
            lambda: self._take(keys=[f"sora:rate:{name}"], args=arguments), None
        )
        return found and (bool(found[0]), found[1] / 1e6)

    def _take_here(self, name: str, per_minute: int) -> tuple[bool, float]:
        now = self._monotonic()
        with self._lock:
            full = max(self._buckets.get(name, 0.0), now)
            after = full + _WINDOW / per_minute
            if after - now > _WINDOW + 1e-6:
                return False, full - now
            if len(self._buckets) >= _LOCAL_MAX:
                self._buckets = {key: until for key, until in self._buckets.items() if until > now}
                if len(self._buckets) >= _LOCAL_MAX:
                    self._buckets.clear()
            self._buckets[name] = after
        return True, after - now

    def once(self, name: str, seconds: float) -> bool:
        """True for the first who asks in `seconds`, false for all others."""
        if not self._first_here(name, seconds):
            return False
        wait = max(1, round(seconds * 1000))
        return self._shared(
            lambda: bool(self._redis.set(f"sora:once:{name}", 1, nx=True, px=wait)), True
        )

    def lately(self, name: str) -> bool:
        """Whether `once` was asked here so lately that it would say no by itself."""
        return self._local.get(name, 0.0) > self._monotonic()

    def hold(self, name: str, seconds: float) -> None:
        """Keep others from what is called so, for so long unless `let_go` comes first. A hint:
        without Redis nobody hears of it.
        """
        wait = max(1, round(seconds * 1000))
        self._shared(lambda: self._redis.set(f"sora:held:{name}", 1, px=wait), None)

    def let_go(self, name: str) -> None:
        """End what `hold` began."""
        self._shared(lambda: self._redis.delete(f"sora:held:{name}"), None)

    def held(self, name: str) -> bool:
        """Whether somebody holds this."""
        return self._shared(lambda: bool(self._redis.exists(f"sora:held:{name}")), False)

    def _shared(self, ask: Callable[[], Answer], otherwise: Answer) -> Answer:
        """What Redis answers; `otherwise` while it is away, for which nobody waits twice in a
        row.
        """
        if self._fuse.is_open:
            return otherwise
        try:
            return ask()
        except redis.RedisError:
            self._fuse.trip()
            return otherwise

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
