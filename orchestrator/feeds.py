"""The readers of streams in this process. One thread looks for all of them at once, when something
was said to have changed and every few seconds anyway; a reader costs no connection and no thread.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from threading import Condition, Event, Thread

import structlog

from orchestrator import streams
from orchestrator.context import Context
from orchestrator.db.streams import counting_keys
from orchestrator.errors import OrchestratorError, RateLimited
from orchestrator.records import Caller
from orchestrator.streams import Message, News, Place, VideoPlace

LOOK_SECONDS = 5.0
HEARTBEAT_SECONDS = 15.0
_AT_ONCE = 500
_TICK_SECONDS = 0.5
_PROGRESS_SECONDS = 1.0
_FIRST_PATIENCE = 0.005
_LAST_PATIENCE = 0.1
_STUCK_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Feed:
    """One reader, with a mailbox for one delivery.

    While that has not been taken, the reader's place does not move on: PostgreSQL keeps what comes
    next, so a slow client costs no memory. An empty delivery is a heartbeat.
    """

    __slots__ = (
        "_box",
        "_feeds",
        "caller",
        "looked_at",
        "over",
        "patience",
        "place",
        "progress_at",
        "ring",
        "stale",
        "told_at",
    )

    def __init__(self, feeds: Feeds, caller: Caller, place: Place, now: float):
        self._feeds = feeds
        self._box: tuple[Message, ...] | None = None
        self.caller = caller
        self.place = place
        self.over = False
        self.stale = False
        self.looked_at = now
        self.told_at = now
        self.progress_at = now - _PROGRESS_SECONDS
        self.patience = _FIRST_PATIENCE
        self.ring: Callable[[], None] = _nobody
        """Called, in another thread, when there is something to take or the stream is over."""

    @property
    def full(self) -> bool:
        """Whether a delivery waits to be taken."""
        return self._box is not None

    def take(self) -> tuple[Message, ...] | None:
        """The delivery that waits, if any. Whoever has seen the feed `over` before and gets None
        here has got everything.
        """
        box, self._box = self._box, None
        if self.stale:
            self._feeds.wake([self])
        return box

    def put(self, messages: tuple[Message, ...], now: float, *, over: bool = False) -> None:
        """Deliver into the empty mailbox; `over`: for the last time."""
        self._box = messages
        self.told_at = now
        self.over = over
        self.ring()

    def end(self) -> None:
        """Nothing will follow what waits."""
        self.over = True
        self.ring()

    def close(self) -> None:
        """The reader has gone."""
        self._feeds.leave(self)


class Feeds:
    """All readers of one process. The thread starts with the first one."""

    def __init__(self, ctx: Context, *, monotonic: Callable[[], float] = time.monotonic):
        self._ctx = ctx
        self._monotonic = monotonic
        self._changed = Condition()
        self._readers: dict[Feed, None] = {}
        self._of_video: dict[str, set[Feed]] = defaultdict(set)
        self._of_user: dict[str, set[Feed]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        self._dirty: dict[Feed, None] = {}
        self._later: list[tuple[float, int, Feed]] = []
        self._numbers = count()
        self._stopped = Event()
        self._threads: list[Thread] = []
        self._checked_at = self._beaten_at = monotonic()
        self._hurry = False

    def enter(self, caller: Caller, place: Place) -> Feed:
        """A new reader, to be closed by whoever carries it.

        Raises:
            RateLimited: this user has as many streams open here as one may.
        """
        feed = Feed(self, caller, place, self._monotonic())
        with self._changed:
            if self._counts[caller.user_id] >= self._ctx.settings.streams_per_user:
                raise RateLimited(
                    f"You have {self._counts[caller.user_id]} streams open, as many as you may.",
                    retry_after=LOOK_SECONDS,
                )
            if self._stopped.is_set():
                feed.over = True
                return feed
            self._counts[caller.user_id] += 1
            self._readers[feed] = None
            self._index(place)[_name(place)].add(feed)
            self._dirty[feed] = None
            self._start()
            self._changed.notify()
        return feed

    def leave(self, feed: Feed) -> None:
        """Forget a reader; a second time does nothing."""
        with self._changed:
            if feed not in self._readers:
                return
            del self._readers[feed]
            self._dirty.pop(feed, None)
            self._counts[feed.caller.user_id] -= 1
            if not self._counts[feed.caller.user_id]:
                del self._counts[feed.caller.user_id]
            index, name = self._index(feed.place), _name(feed.place)
            index[name].discard(feed)
            if not index[name]:
                del index[name]

    def wake(self, feeds: Iterable[Feed]) -> None:
        """Look for these readers now."""
        with self._changed:
            self._dirty.update((feed, None) for feed in feeds if feed in self._readers)
            self._changed.notify()

    def heard(self, changes: Iterable[tuple[str, str]]) -> None:
        """Somebody says that these videos, given as (user id, video id), have changed."""
        with self._changed:
            for user_id, video_id in changes:
                for feed in (*self._of_user.get(user_id, ()), *self._of_video.get(video_id, ())):
                    self._dirty[feed] = None
            self._changed.notify()

    def close(self) -> None:
        """End all streams and the thread; whoever comes later finds theirs over."""
        self._stopped.set()
        with self._changed:
            readers = list(self._readers)
            self._changed.notify_all()
        for feed in readers:
            feed.end()
        for thread in self._threads:
            thread.join(2 * _TICK_SECONDS)

    def __len__(self) -> int:
        return len(self._readers)

    def _start(self) -> None:
        if self._threads:
            return
        hear = self._ctx.wakes.hear
        self._threads = [
            Thread(target=self._run, name="feeds", daemon=True),
            Thread(target=hear, args=(self.heard, self._stopped), name="ears", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            feeds = self._due()
            try:
                self.look(feeds)
                self.check_keys()
            except OrchestratorError as error:
                # They are looked at again in some seconds, as all are.
                log.warning("streams_unavailable", error=error.message)
                self._stopped.wait(_TICK_SECONDS)
            except Exception:
                # Whatever it was, the others' streams must go on.
                log.exception("streams_failed")
                self._stopped.wait(_TICK_SECONDS)
            self._beat()

    def _due(self) -> list[Feed]:
        """Wait for some readers to look for, at most for a tick."""
        with self._changed:
            if not self._dirty and not self._hurry:
                self._changed.wait(self._timeout())
            now = self._monotonic()
            while self._later and self._later[0][0] <= now:
                feed = heapq.heappop(self._later)[2]
                if feed in self._readers:
                    self._dirty[feed] = None
            feeds = list(self._dirty)[:_AT_ONCE]
            for feed in self._readers if len(feeds) < _AT_ONCE else ():
                # In the order of their last look, so the first that is not due ends the search.
                if now - feed.looked_at < LOOK_SECONDS or len(feeds) == _AT_ONCE:
                    break
                if feed not in self._dirty:
                    feeds.append(feed)
            for feed in feeds:
                self._dirty.pop(feed, None)
                feed.looked_at = now
                # To the end of the line.
                del self._readers[feed]
                self._readers[feed] = None
            self._hurry = len(feeds) == _AT_ONCE
            return feeds

    def _timeout(self) -> float:
        soonest = self._later[0][0] - self._monotonic() if self._later else _TICK_SECONDS
        return min(_TICK_SECONDS, max(0.0, soonest))

    def look(self, feeds: Iterable[Feed]) -> None:
        """Tell these readers what is new. Those who have not taken the last delivery wait.

        Raises:
            DependencyDown: PostgreSQL does not answer.
        """
        ready = []
        for feed in feeds:
            # First the flag, then the look: a taker in between finds one of the two.
            feed.stale = True
            if not feed.full and not feed.over:
                feed.stale = False
                ready.append(feed)
        if not ready:
            return
        news = streams.read(self._ctx, {feed.place for feed in ready})
        now = self._monotonic()
        for feed in ready:
            if feed.place in news:
                self._tell(feed, news[feed.place], now)

    def _tell(self, feed: Feed, news: News, now: float) -> None:
        if news.messages and news.only_progress:
            if now < feed.progress_at + _PROGRESS_SECONDS:
                self._again(feed, feed.progress_at + _PROGRESS_SECONDS)
                return
            feed.progress_at = now
        feed.place = news.place
        feed.stale = news.more
        if news.unsettled:
            feed.patience = min(_LAST_PATIENCE, feed.patience * 2)
            self._again(feed, now + feed.patience)
        else:
            feed.patience = _FIRST_PATIENCE
        if news.messages:
            feed.put(news.messages, now, over=news.over)
        elif news.over:
            feed.end()

    def _again(self, feed: Feed, when: float) -> None:
        with self._changed:
            heapq.heappush(self._later, (when, next(self._numbers), feed))

    def _beat(self) -> None:
        now = self._monotonic()
        if now - self._beaten_at < 1:
            return
        self._beaten_at = now
        with self._changed:
            silent = [f for f in self._readers if now - f.told_at >= HEARTBEAT_SECONDS]
        for feed in silent:
            if not feed.full:
                feed.put((), now, over=feed.over)
            elif now - feed.told_at >= _STUCK_SECONDS:
                feed.end()
                feed.close()

    def check_keys(self) -> None:
        """End the streams of keys that were revoked or have expired."""
        now = self._monotonic()
        if now - self._checked_at < LOOK_SECONDS / 2:
            return
        self._checked_at = now
        with self._changed:
            keyed = [(f, f.caller.api_key_id) for f in self._readers]
        key_ids = {key_id for _, key_id in keyed if key_id is not None}
        if not key_ids:
            return
        with self._ctx.database.statement() as connection:
            counting = counting_keys(connection, key_ids)
        for feed, key_id in keyed:
            if key_id is not None and key_id not in counting:
                feed.end()

    def _index(self, place: Place) -> dict[str, set[Feed]]:
        return self._of_video if isinstance(place, VideoPlace) else self._of_user


def _name(place: Place) -> str:
    return place.video_id if isinstance(place, VideoPlace) else place.user_id


def _nobody() -> None:
    """Rings for a reader whom nobody carries yet."""
