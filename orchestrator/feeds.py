"""The streams of this process. One thread looks for all readers at once, when something was said
to have changed and every few seconds anyway; a reader costs no connection and no thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread

import structlog

from orchestrator import streams
from orchestrator.context import Context
from orchestrator.db.streams import counting_keys
from orchestrator.errors import OrchestratorError
from orchestrator.readers import (
    FIRST_PATIENCE,
    LOOK_SECONDS,
    PROGRESS_SECONDS,
    TICK_SECONDS,
    Feed,
    Readers,
)
from orchestrator.records import Caller
from orchestrator.streams import News, Place

HEARTBEAT_SECONDS = 15.0
_AT_ONCE = 500
_LAST_PATIENCE = 0.1
_STUCK_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Feeds:
    """All streams of one process. The threads start with the first reader."""

    def __init__(self, ctx: Context, *, monotonic: Callable[[], float] = time.monotonic):
        self._ctx = ctx
        self._monotonic = monotonic
        self._readers = Readers(ctx.settings.streams_per_user, monotonic)
        self._stopped = Event()
        self._starting = Lock()
        self._threads: list[Thread] = []

    def enter(self, caller: Caller, place: Place) -> Feed:
        """A new reader, to be closed by whoever carries it.

        Raises:
            RateLimited: this user has as many streams open here as one may.
        """
        feed = self._readers.enter(caller, place)
        if not feed.over:
            self._start()
        return feed

    def heard(self, changes: Iterable[tuple[str, str]]) -> None:
        """Somebody says that these videos, given as (user id, video id), have changed."""
        self._readers.heard(changes)

    def close(self) -> None:
        """End all streams and the thread; whoever comes later finds theirs over."""
        self._stopped.set()
        self._readers.close()
        for feed in self._readers.all():
            feed.end()
        for thread in self._threads:
            thread.join(2 * TICK_SECONDS)

    def __len__(self) -> int:
        return len(self._readers)

    def _start(self) -> None:
        with self._starting:
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
            feeds = self._readers.due(_AT_ONCE)
            try:
                self.look(feeds)
                self.check_keys(feeds)
            except OrchestratorError as error:
                # They are looked at again in some seconds, as all are.
                log.warning("streams_unavailable", error=error.message)
                self._stopped.wait(TICK_SECONDS)
            except Exception:
                # Whatever it was, the others' streams must go on.
                log.exception("streams_failed")
                self._stopped.wait(TICK_SECONDS)
            self.beat(feeds)

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
            if now < feed.progress_at + PROGRESS_SECONDS:
                self._readers.again(feed, feed.progress_at + PROGRESS_SECONDS)
                return
            feed.progress_at = now
        feed.place = news.place
        feed.stale = news.more
        if news.unsettled:
            feed.patience = min(_LAST_PATIENCE, feed.patience * 2)
            self._readers.again(feed, now + feed.patience)
        else:
            feed.patience = FIRST_PATIENCE
        if news.messages:
            feed.put(news.messages, now, over=news.over)
        elif news.over:
            feed.end()

    def beat(self, feeds: Iterable[Feed]) -> None:
        """Tell those to whom nothing happens that they are still connected; who does not even take
        that has gone. All come by here, a few at a time: thousands at once would hold up the news
        of others.
        """
        now = self._monotonic()
        for feed in feeds:
            if feed.full:
                if now - feed.told_at >= _STUCK_SECONDS:
                    feed.end()
                    feed.close()
            # At the look that is nearest to the time: one before it would be half as many again.
            elif now - feed.told_at >= HEARTBEAT_SECONDS - LOOK_SECONDS / 2 and not feed.over:
                feed.put((), now)

    def check_keys(self, feeds: Iterable[Feed]) -> None:
        """End the streams of keys that were revoked or have expired. As for `beat`, all come by
        here: to ask for the keys of thousands at once would hold up the news of others.
        """
        now = self._monotonic()
        keyed = [
            (feed, feed.caller.api_key_id)
            for feed in feeds
            if feed.caller.api_key_id is not None and now - feed.checked_at >= LOOK_SECONDS / 2
        ]
        if not keyed:
            return
        with self._ctx.database.statement() as connection:
            counting = counting_keys(connection, {key_id for _, key_id in keyed})
        for feed, key_id in keyed:
            feed.checked_at = now
            if key_id not in counting:
                feed.end()
