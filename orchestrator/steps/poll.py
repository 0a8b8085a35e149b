"""Poll: look how far videos are. One list call stands for many single ones where the provider has a
list.

A bad look says nothing about a video: only what the provider says of it moves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.crew import Stopped
from orchestrator.db import polling, providers
from orchestrator.db.polling import Running
from orchestrator.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMissing,
    ProviderTransient,
    Unsupported,
)
from orchestrator.lifecycle import ALL_BUT_STORED, Step
from orchestrator.policies import poll_delay, typical_duration
from orchestrator.providers import ProviderVideo, Span
from orchestrator.records import Attempt, ProviderState, Video
from orchestrator.results import generated
from orchestrator.steps.sighting import Pair, Sighting, seconds_until
from orchestrator.steps.trail import Trail

log = structlog.get_logger(__name__)

LIST_FROM = 4
"""From so many videos on, a look through the list is cheaper than single ones."""
MANY = 10
"""From so many single looks on, they are made at once."""
MAX_PAGES = 5000
MUCH = 4
"""Where at least every so many-th entry of a list is wanted, one look stands for many."""
BAD_ANSWERS = 2
"""One that cannot be read says little of the others; after two the provider is left alone."""


def poll(ctx: Context, video_ids: Sequence[str]) -> None:
    """Look at those of these videos that are due."""
    with ctx.leases.hold() as token:
        with ctx.database.transaction() as connection:
            claimed = polling.claim(
                connection, video_ids, Step.POLL, token=token, lease=ctx.leases.seconds
            )
        accounts: dict[tuple[str, str], list[Pair]] = defaultdict(list)
        for video, attempt in claimed:
            accounts[video.provider, video.account].append((video, attempt))
        for (name, account), pairs in accounts.items():
            provider = ctx.catalog.provider(name, account)
            if provider is None:
                _snooze(ctx, pairs, token, 60)
            else:
                Look(ctx, provider, token).at(pairs)


def _snooze(ctx: Context, pairs: Sequence[Pair], token: str, seconds: float) -> None:
    with ctx.database.statement() as connection:
        ids = [video.id for video, _ in pairs]
        polling.snooze(connection, ids, token=token, due_in=seconds)


class Look:
    """One look at some videos of one account: asks, and judges the answers.

    `minimum`: seconds between two looks at a video. `listed`: how many videos its list has shown,
    `shared` if it showed many of those that are followed. `trail`: where the walk through the list
    begins.
    """

    def __init__(self, ctx: Context, provider: Provider, token: str, trail: Trail | None = None):
        self.ctx = ctx
        self.provider = provider
        self.token = token
        self.state: ProviderState | None = None
        self.seen = Sighting(ctx, provider, token)
        self.bad_answers = 0
        self.minimum = looks.first_poll(ctx, provider)
        self.listed = 0
        self.follows = False
        self.shared = False
        self.trail = trail or Trail()
        self._oldest = 0.0
        self._typical: dict[str, float | None] = {}

    @property
    def expected(self) -> float:
        """Seconds that the quickest of these videos take, or have taken so far if nobody knows."""
        known = [typical for typical in self._typical.values() if typical is not None]
        return min(known, default=self._oldest)

    def at(self, pairs: Sequence[Pair], *, within: float = 0.0) -> list[Pair]:
        """Look at all of them, and record what was seen. Returns those of which there is nothing to
        say, and which are due again `within` so many seconds: their leases are kept.
        """
        self.follows = within > 0
        with self.ctx.database.statement() as connection:
            self.state = providers.get(connection, self.provider.name, self.provider.account)
        paused = seconds_until(self.state.polls_paused_until if self.state else None)
        if paused > 0:
            _snooze(self.ctx, pairs, self.token, paused)
            return []
        try:
            self._ask(pairs)
        except ProviderBusy as error:
            looks.asked_too_often(self.ctx, self.provider, error)
        except (ProviderError, Unsupported) as error:
            log.warning("poll_failed", provider=self.provider.name, reason=error.code)
        self.seen.among(pairs)
        kept = self.seen.unchanged(pairs, within) if within else []
        self.seen.record()
        return kept

    def _ask(self, pairs: Sequence[Pair]) -> None:
        remaining = list(pairs)
        if self.provider.profile.list != "none" and len(pairs) >= LIST_FROM:
            try:
                remaining = self._walk(pairs)
            except (ProviderTransient, Unsupported) as error:
                self._bear(error)
        client = self.ctx.pool.get(self.provider)
        # Those that have given trouble come last, so that they keep nobody from being seen.
        remaining.sort(key=lambda pair: pair[0].failures)
        for lot in self.ctx.crew.each(
            remaining,
            lambda pair: client.retrieve(pair[1].provider_video_id or ""),
            together=len(remaining) > MANY,
        ):
            for pair, result in lot:
                self._hear(pair, result)

    def _hear(self, pair: Pair, result: ProviderVideo | Exception) -> None:
        match result:
            case ProviderVideo():
                self._judge(pair, result)
            case ProviderMissing():
                self.seen.missing.append(pair)
            case ProviderTransient():
                self._bear(result)
            case Stopped():
                self.seen.running.append(Running(pair[0].id, 0, 0.0))
            case _:
                raise result

    def _bear(self, error: ProviderTransient | Unsupported) -> None:
        """Go on after an answer that says nothing, unless there are too many."""
        self.bad_answers += 1
        if self.bad_answers >= BAD_ANSWERS:
            raise error
        log.warning("look_failed", provider=self.provider.name, reason=error.code)

    def _walk(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Judge what the list shows; the rest is returned, to be asked for one by one: absence says
        nothing.
        """
        if self.trail.begin is None:
            return self._walk_on(pairs)
        try:
            remaining = self._walk_on(pairs)
        except (ProviderTransient, Unsupported):
            # Perhaps the mark is gone.
            remaining = list(pairs)
        if len(remaining) < LIST_FROM:
            return remaining
        self.trail.lost()
        return self._walk_on(remaining)

    def _walk_on(self, pairs: Sequence[Pair]) -> list[Pair]:
        oldest = min(attempt.accepted_at or attempt.sent_at for _, attempt in pairs)
        wanted = {attempt.canonical_id or "" for _, attempt in pairs}
        span = Span(
            until=oldest - timedelta(seconds=60),
            # So many calls would show them one by one.
            max_pages=min(MAX_PAGES, len(pairs)),
            wanted=wanted,
            after=self.trail.begin,
        )
        walk = self.ctx.pool.get(self.provider).walk(span)
        if self.provider.profile.list == "paged":
            self.trail.walked(walk.videos, wanted)
        self.listed += len(walk.videos)
        self.shared = self.follows and len(walk.videos) <= MUCH * len(pairs)
        listed = {found.canonical_id: found for found in walk.videos}
        remaining = []
        for pair in pairs:
            found = listed.get(pair[1].canonical_id or "")
            if found is None:
                remaining.append(pair)
            else:
                self._judge(pair, found)
        return remaining

    def _judge(self, pair: Pair, found: ProviderVideo) -> None:
        video, attempt = pair
        if found.status == "completed":
            self.seen.generated.append(generated(self.ctx, self.provider, video, attempt, found))
        elif found.status == "failed":
            self.seen.failed.append((pair, found))
        else:
            if not found.status_known:
                log.warning("strange_status", video_id=video.id, status=found.raw_status[:100])
            if video.deadline_at is not None and video.deadline_at <= datetime.now(UTC):
                self.seen.late.append(pair)
            progress = min(max(found.progress or 0, 0), ALL_BUT_STORED - 1)
            self.seen.running.append(
                Running(video.id, progress, self._delay(video, attempt, found))
            )

    def _delay(self, video: Video, attempt: Attempt, found: ProviderVideo) -> float:
        age = (datetime.now(UTC) - (attempt.accepted_at or attempt.sent_at)).total_seconds()
        self._oldest = max(self._oldest, age)
        typical = self._typical_of(video)
        if self.shared and typical is None:
            # To look more and more seldom would spare hardly a call: the page shows others, too.
            age = 0.0
        return poll_delay(
            max(age, 0.0), self.minimum, self.ctx.dice(), typical=typical, hint=found.poll_after
        )

    def _typical_of(self, video: Video) -> float | None:
        kind = looks.kind_of_work(video)
        if kind not in self._typical:
            durations = self.state.durations if self.state else {}
            self._typical[kind] = typical_duration(durations.get(kind, ()))
        return self._typical[kind]
