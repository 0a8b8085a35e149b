"""The cache of videos, in Redis or Valkey. Everything here may fail: then it costs time, never
truth.

Keys are `sora:video:{id}`; values are JSON as GET shows it. A write carries the video's `seq`, and
an older one never replaces a newer one; invalidating leaves a short-lived tombstone with a number
beyond all others, so that a reader who was slow cannot put back what was erased.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import redis
import structlog
from pydantic_core import from_json, to_json

from orchestrator.breaker import Breaker
from orchestrator.policies import cache_ttl
from orchestrator.records import Video
from orchestrator.redis_client import open_client

T = TypeVar("T")
Json = dict[str, Any]

PREFIX = "sora:video:"
_TOMBSTONE_SECONDS = 60
_LAST_SEQ = 2**53

# KEYS: the videos' keys. ARGV: seq, value and ttl of each. Values start with their seq, so that Lua
# need not parse the JSON. Returns how many were older there.
_PUT = """
local put = 0
for n, key in ipairs(KEYS) do
  local old = redis.call('GET', key)
  local seq = old and tonumber(string.match(old, '^{"seq": ?(%d+)'))
  if not seq or seq <= tonumber(ARGV[3 * n - 2]) then
    redis.call('SET', key, ARGV[3 * n - 1], 'EX', ARGV[3 * n])
    put = put + 1
  end
end
return put
"""
_AT_ONCE = 100
"""Videos in one call: the server does nothing else meanwhile."""

log = structlog.get_logger(__name__)


class Cache:
    """Cache-aside for videos, and a few plain keys. Opens a connection with the first use; never
    raises for Redis.
    """

    def __init__(
        self,
        url: str,
        *,
        client: redis.Redis | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._redis = client or open_client(url, patience=0.2)
        self._breaker = Breaker(monotonic)
        self._put = self._redis.register_script(_PUT)

    def get(self, key: str) -> Any | None:
        """The JSON value under a key; None if there is none, it is not JSON, or Redis is away."""
        return _parsed(self._try("get", lambda: self._redis.get(key)))

    def set(self, key: str, value: Any, ttl: int | None = None) -> bool:
        """Keep a JSON value, for `ttl` seconds if given."""
        text = json.dumps(value)
        return bool(self._try("set", lambda: self._redis.set(key, text, ex=ttl)))

    def delete(self, key: str) -> bool:
        """Forget a key. True if it was there."""
        return bool(self._try("del", lambda: self._redis.delete(key)))

    def exists(self, key: str) -> bool:
        """Whether a key is there (and Redis too)."""
        return bool(self._try("exists", lambda: self._redis.exists(key)))

    def put_video(self, video: Json) -> bool:
        """Cache a video as GET shows it, for a time by its status. False: a newer state is there,
        or no Redis.
        """
        return self._put_some([(video["id"], video["seq"], video["status"])], [to_json(video)]) == 1

    def put_videos(self, videos: Sequence[Video], texts: Sequence[bytes]) -> int:
        """The same for many, in few round trips. Returns how many are in the cache now.

        texts: the videos as JSON.
        """
        heads = [(video.id, video.seq, video.status) for video in videos]
        return sum(
            self._put_some(heads[start : start + _AT_ONCE], texts[start : start + _AT_ONCE])
            for start in range(0, len(heads), _AT_ONCE)
        )

    def _put_some(self, heads: Sequence[tuple[str, int, str]], texts: Sequence[bytes]) -> int:
        """`heads`: id, seq and status of each."""
        keys = [PREFIX + video_id for video_id, _, _ in heads]
        args: list[int | bytes] = []
        for (_, seq, status), text in zip(heads, texts, strict=True):
            args += (seq, text, cache_ttl(status))
        return int(self._try("put", lambda: self._put(keys=keys, args=args)) or 0)

    def get_video(self, video_id: str) -> Json | None:
        """The cached video; None if there is none (a tombstone is none)."""
        return read_cached(self._try("get", lambda: self._redis.get(PREFIX + video_id)))

    def get_videos(self, video_ids: Sequence[str]) -> Sequence[bytes | None]:
        """What is under the keys of these videos, for `read_cached`, in one round trip."""
        keys = [PREFIX + video_id for video_id in video_ids]
        found = cast("list[bytes | None] | None", self._try("get", lambda: self._redis.mget(keys)))
        return found or [None] * len(keys)

    def invalidate_videos(self, video_ids: Iterable[str]) -> None:
        """Forget videos that are no longer what they were: for a minute nobody can put them back,
        however slow.
        """
        grave = json.dumps({"seq": _LAST_SEQ})
        gone = [PREFIX + video_id for video_id in video_ids]
        for start in range(0, len(gone), _AT_ONCE):
            keys = gone[start : start + _AT_ONCE]
            args: list[int | str] = [_LAST_SEQ, grave, _TOMBSTONE_SECONDS] * len(keys)
            self._try("put", partial(self._put, keys=keys, args=args))

    def clear_videos(self) -> int:
        """Forget all videos, by prefix and in batches: other keys of the server are not touched.
        Returns how many.
        """
        return int(self._try("clear", self._clear) or 0)

    def _clear(self) -> int:
        removed = 0
        batch: list[bytes] = []
        for key in self._redis.scan_iter(match=PREFIX + "*", count=1000):
            batch.append(key)
            if len(batch) == 1000:
                removed += self._redis.unlink(*batch)
                batch.clear()
        return removed + (self._redis.unlink(*batch) if batch else 0)

    def stats(self) -> Json:
        """Whether Redis answers, how many videos are cached (counted up to 100,000), its hits,
        misses and memory.
        """
        return self._try("stats", self._stats) or {"connected": False}

    def _stats(self) -> Json:
        cached = 0
        for _ in self._redis.scan_iter(match=PREFIX + "*", count=1000):
            cached += 1
            if cached == 100_000:
                break
        info: Json = self._redis.info()
        return {
            "connected": True,
            "videos": cached,
            "hits": info.get("keyspace_hits"),
            "misses": info.get("keyspace_misses"),
            "memory_bytes": info.get("used_memory"),
        }

    def ping(self) -> bool:
        """Whether Redis answers."""
        return bool(self._try("ping", self._redis.ping))

    def close(self) -> None:
        """Close the idle connections."""
        self._redis.close()

    def _try(self, what: str, call: Callable[[], T]) -> T | None:
        if self._breaker.is_open:
            return None
        try:
            return call()
        except redis.RedisError as error:
            self._breaker.trip()
            log.warning("cache_unavailable", operation=what, error=type(error).__name__)
            return None


def read_cached(raw: bytes | str | None) -> Json | None:
    """The video in a value of the cache; None if there is none, as in a tombstone."""
    value = _parsed(raw)
    return value if isinstance(value, dict) and "id" in value else None


def _parsed(raw: bytes | str | None) -> Any | None:
    try:
        return None if raw is None else from_json(raw)
    except ValueError:
        # Somebody else's value under our key must not take the video away from its owner.
        return None
