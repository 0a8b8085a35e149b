"""Who reads the streams of this process, and whom to look for next."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from threading import Condition

from orchestrator.errors import RateLimited
from orchestrator.records import Caller
from orchestrator.streams import Message, Place, VideoPlace

LOOK_SECONDS = 5.0
PROGRESS_SECONDS = 1.0
FIRST_PATIENCE = 0.005
TICK_SECONDS = 0.5
_OVERDUE_AT_ONCE = 50


class Feed:
    """One reader, with a mailbox for one delivery.

    While that has not been taken, the reader's place does not move on: PostgreSQL keeps what comes
    next, so a slow client costs no memory. An empty delivery is a heartbeat.
    """

    __slots__ = (
        "_box",
        "_readers",
        "caller",
        "checked_at",
        "looked_at",
        "over",
        "patience",
        "place",
        "progress_at",
        "ring",
        "stale",
        "told_at",
    )

    def __init__(self, readers: Readers, caller: Caller, place: Place, now: float):
        self._readers = readers
        self._box: tuple[Message, ...] | None = None
        self.caller = caller
        self.place = place
        self.over = False
        self.stale = False
        self.checked_at = now
        self.looked_at = now
        self.told_at = now
        self.progress_at = now - PROGRESS_SECONDS
        self.patience = FIRST_PATIENCE
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
            self._readers.wake([self])
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
        self._readers.leave(self)


class Readers:
    """All readers of one process.

    per_user: so many of one user.
    monotonic: a clock in seconds.
    """

    def __init__(self, per_user: int, monotonic: Callable[[], float]):
        self._per_user = per_user
        self._monotonic = monotonic
        self._changed = Condition()
        self._closed = False
        # In the order of their last look.
        self._all: dict[Feed, None] = {}
        self._of_video: dict[str, set[Feed]] = defaultdict(set)
        self._of_user: dict[str, set[Feed]] = defaultdict(set)
        self._counts: Counter[str] = Counter()
        self._dirty: dict[Feed, None] = {}
        self._later: list[tuple[float, int, Feed]] = []
        self._numbers = count()
        self._hurry = False
        self._owed = False

    def enter(self, caller: Caller, place: Place) -> Feed:
        """A new one, to be looked for at once; after the end of all, one whose stream is over.

        Raises:
            RateLimited: this user has as many streams open here as one may.
        """
        feed = Feed(self, caller, place, self._monotonic())
        with self._changed:
            if self._counts[caller.user_id] >= self._per_user:
                raise RateLimited(
                    f"You have {self._counts[caller.user_id]} streams open, as many as you may.",
                    retry_after=LOOK_SECONDS,
                )
            if self._closed:
                feed.over = True
                return feed
            self._counts[caller.user_id] += 1
            self._all[feed] = None
            self._index(place)[_name(place)].add(feed)
            self._dirty[feed] = None
            self._changed.notify()
        return feed

    def leave(self, feed: Feed) -> None:
        """Forget a reader; a second time does nothing."""
        with self._changed:
            if feed not in self._all:
                return
            del self._all[feed]
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
            self._dirty.update((feed, None) for feed in feeds if feed in self._all)
            self._changed.notify()

    def heard(self, changes: Iterable[tuple[str, str]]) -> None:
        """Somebody says that these videos, given as (user id, video id), have changed."""
        with self._changed:
            for user_id, video_id in changes:
                for feed in (*self._of_user.get(user_id, ()), *self._of_video.get(video_id, ())):
                    self._dirty[feed] = None
            self._changed.notify()

    def again(self, feed: Feed, when: float) -> None:
        """Look for this reader then."""
        with self._changed:
            heapq.heappush(self._later, (when, next(self._numbers), feed))

    def due(self, limit: int) -> list[Feed]:
        """Whom to look for now. Waits for somebody, at most for a tick.

        Those who were woken, at most so many; else, and in turn with them, some of whom nobody has
        looked for in a while: who was woken must not wait for a look at hundreds of others.
        """
        with self._changed:
            if not self._dirty and not self._hurry:
                self._changed.wait(self._timeout())
            now = self._monotonic()
            while self._later and self._later[0][0] <= now:
                feed = heapq.heappop(self._later)[2]
                if feed in self._all:
                    self._dirty[feed] = None
            feeds = list(self._dirty)[:limit]
            self._hurry = len(feeds) == limit
            if feeds and not self._owed:
                self._owed = self._hurry = True
            else:
                self._owed = False
                feeds += self._overdue(now)
            for feed in feeds:
                self._dirty.pop(feed, None)
                feed.looked_at = now
                # To the end of the line.
                del self._all[feed]
                self._all[feed] = None
            return feeds

    def _overdue(self, now: float) -> list[Feed]:
        found: list[Feed] = []
        for feed in self._all:
            # The first that is not due ends the search.
            if now - feed.looked_at < LOOK_SECONDS:
                break
            if len(found) == _OVERDUE_AT_ONCE:
                self._hurry = True
                break
            if feed not in self._dirty:
                found.append(feed)
        return found

    def all(self) -> list[Feed]:
        """Everybody."""
        with self._changed:
            return list(self._all)

    def close(self) -> None:
        """Let nobody in any more, and wake whoever waits in `due`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._all)

    def _timeout(self) -> float:
        soonest = self._later[0][0] - self._monotonic() if self._later else TICK_SECONDS
        return min(TICK_SECONDS, max(0.0, soonest))

    def _index(self, place: Place) -> dict[str, set[Feed]]:
        return self._of_video if isinstance(place, VideoPlace) else self._of_user


def _name(place: Place) -> str:
    return place.video_id if isinstance(place, VideoPlace) else place.user_id


def _nobody() -> None:
    """Rings for a reader whom nobody carries yet."""
