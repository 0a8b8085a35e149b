"""What all processes have counted together, in Redis: each adds what is new, so the sums live on
when a process ends, and any of them can show them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import redis
import structlog
from pydantic_core import from_json, to_json

from orchestrator.breaker import Breaker
from orchestrator.meters import Series
from orchestrator.redis_client import open_client

SUMS = "sora:metrics:sums"
PROCESSES = "sora:metrics:processes"
ALIVE_SECONDS = 30.0
"""A process that has not told anything for so long has ended."""
_KEPT_SECONDS = 30 * 86_400
_FORGOTTEN_SECONDS = 3600.0

# KEYS: sums, processes. ARGV: the process, what it says of itself, how long all is kept, then pairs
# of series and number. The server's clock counts, since processes run on many machines.
_ADD = """
for n = 4, #ARGV, 2 do
  redis.call('HINCRBYFLOAT', KEYS[1], ARGV[n], ARGV[n + 1])
end
redis.call('HSET', KEYS[2], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Presence:
    """What a process says of itself: its kind (`web`, `worker`, …), and how many streams are open
    there.
    """

    kind: str
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of all processes, and those that are alive."""

    sums: Mapping[Series, float]
    processes: tuple[Presence, ...]


class Tallies:
    """Opens a connection with the first use; never raises for Redis."""

    def __init__(self, url: str, *, client: redis.Redis | None = None):
        self._redis = client or open_client(url, patience=1)
        self._breaker = Breaker(time.monotonic)
        self._add = self._redis.register_script(_ADD)

    def add(self, process: str, presence: Presence, counted: Mapping[Series, float]) -> bool:
        """Add what a process has counted. False: it may not have arrived. (Whoever then repeats it
        counts it twice if the answer was lost; the other way round it would be lost in every
        outage, which is when people look.)
        """
        about = to_json({"kind": presence.kind, "streams": presence.streams})
        args: list[bytes | str | int | float] = [process, about, _KEPT_SECONDS]
        for series, n in counted.items():
            args += (to_json(series), repr(float(n)))
        if self._breaker.is_open:
            return False
        try:
            self._add(keys=[SUMS, PROCESSES], args=args)
        except redis.RedisError as error:
            self._failed("add", error)
            return False
        return True

    def leave(self, process: str) -> None:
        """This process ends."""
        if self._breaker.is_open:
            return
        try:
            self._redis.hdel(PROCESSES, process)
        except redis.RedisError as error:
            self._failed("leave", error)

    def read(self) -> Totals | None:
        """All of it; None when Redis is away."""
        if self._breaker.is_open:
            return None
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hgetall(SUMS)
                pipeline.hgetall(PROCESSES)
                pipeline.time()
                sums, processes, (now, _) = pipeline.execute()
            ages = {name: now - int(said.partition(b" ")[0]) for name, said in processes.items()}
            if gone := [name for name, age in ages.items() if age > _FORGOTTEN_SECONDS]:
                self._redis.hdel(PROCESSES, *gone)
        except redis.RedisError as error:
            self._failed("read", error)
            return None
        return Totals(
            {tuple(from_json(series)): float(n) for series, n in sums.items()},
            tuple(
                Presence(**from_json(said.partition(b" ")[2]))
                for name, said in processes.items()
                if ages[name] <= ALIVE_SECONDS
            ),
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()

    def _failed(self, what: str, error: redis.RedisError) -> None:
        self._breaker.trip()
        log.warning("metrics_unavailable", operation=what, error=type(error).__name__)
