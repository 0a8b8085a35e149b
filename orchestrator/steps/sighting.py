"""What a look at some videos has seen, and what that makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from orchestrator import changes, looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, polling, providers, transitions
from orchestrator.db.polling import Generated, Running
from orchestrator.policies import backoff
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video

RETRY_CEILING = 30.0

AT_ONCE = 200
"""A list may bring news of thousands at once. The statements compare each with each, and whoever
locks some in two statements of one transaction waits crosswise with whoever renews their leases.
"""

SAMPLES = 10
"""So many durations are learned from one look."""

Pair = tuple[Video, Attempt]
Found = TypeVar("Found")


@dataclass(slots=True)
class Sighting:
    """What was seen of each video, by whom (`token`); `late` ones are running behind their
    deadline, too.
    """

    ctx: Context
    provider: Provider
    token: str
    running: list[Running] = field(default_factory=list)
    generated: list[Generated] = field(default_factory=list)
    failed: list[tuple[Pair, ProviderVideo]] = field(default_factory=list)
    missing: list[Pair] = field(default_factory=list)
    unseen: list[Pair] = field(default_factory=list)
    late: list[Pair] = field(default_factory=list)
    looked_at: Sequence[Pair] = ()

    def among(self, pairs: Sequence[Pair]) -> None:
        """These were to be looked at: what was not seen of them is `unseen`."""
        self.looked_at = pairs
        seen = {item.id for item in self.running} | {item.id for item in self.generated}
        seen |= {video.id for (video, _), _ in self.failed}
        seen |= {video.id for video, _ in self.missing}
        self.unseen = [pair for pair in pairs if pair[0].id not in seen]

    def unchanged(self, pairs: Sequence[Pair], within: float) -> list[Pair]:
        """Those that run on as before and are due again within so many seconds: taken out of what
        is recorded.
        """
        shown = {item.id: item for item in self.running}
        late = {video.id for video, _ in self.late}
        kept = [
            pair
            for pair in pairs
            if (item := shown.get(pair[0].id)) is not None
            and item.progress <= pair[0].progress
            and item.due_in <= within
            and not pair[0].failures
            and pair[0].missing_since is None
            and item.id not in late
        ]
        ids = {video.id for video, _ in kept}
        self.running = [item for item in self.running if item.id not in ids]
        return kept

    def record(self) -> None:
        """Write down all of it. What is ready comes first, since somebody waits for it."""
        stored = [video for lot in _lots(self.generated) for video in self._store(lot)]
        for lot in _lots(self.running):
            with self.ctx.database.transaction() as connection:
                changed = polling.still_running(connection, lot, token=self.token)
            changes.published(self.ctx, changed)
        self._observe(stored)
        for (video, attempt), found in self.failed:
            self._fail(video, attempt, found)
        for pair in self.missing:
            self._miss(pair)
        for video, _ in self.late:
            self._time_out(video)
        self._overlook()

    def _store(self, lot: Sequence[Generated]) -> list[Video]:
        with self.ctx.database.transaction() as connection:
            stored = polling.generated(connection, lot, token=self.token)
        changes.ring_stores(self.ctx, stored)
        changes.published(self.ctx, stored)
        return stored

    def _overlook(self) -> None:
        """What could not be seen is looked at later, the more often that happens the later."""
        base = looks.first_poll(self.ctx, self.provider)
        by_failures: dict[int, list[str]] = defaultdict(list)
        for video, _ in self.unseen:
            by_failures[video.failures].append(video.id)
        for failures, ids in by_failures.items():
            wait = backoff(base, failures + 1, self.ctx.dice(), ceiling=max(base, RETRY_CEILING))
            with self.ctx.database.statement() as connection:
                polling.snooze(connection, ids, token=self.token, due_in=wait, failed=True)

    def _observe(self, stored: Sequence[Video]) -> None:
        """Learn how long such videos take; some now and then are enough. Any: the first ones have
        been at work the longest.
        """
        if not stored:
            return
        dice = self.ctx.dice()
        video = stored[int(dice * len(stored))]
        name, account, kind = video.provider, video.account, looks.kind_of_work(video)
        if not self.ctx.limits.once(f"observed:{name}:{kind}", 1.0):
            return
        alike = [video for video in stored if looks.kind_of_work(video) == kind]
        step = -(-len(alike) // SAMPLES)
        since = {video.id: attempt.accepted_at for video, attempt in self.looked_at}
        took = [
            (one.updated_at - accepted).total_seconds()
            for one in alike[int(dice * step) :: step]
            if (accepted := since.get(one.id)) is not None
        ]
        if took:
            with self.ctx.database.statement() as connection:
                providers.observe(connection, name, account, kind, took)

    def _fail(self, video: Video, attempt: Attempt, found: ProviderVideo) -> None:
        with self.ctx.database.transaction() as connection:
            failed = transitions.fail(
                connection,
                video.id,
                code=found.error_code or "provider_failed",
                message=found.error_message or "The provider could not make this video.",
                guard="v.lease_token = :token",
                token=self.token,
            )
            if failed is not None:
                attempts.end(
                    connection,
                    video.id,
                    attempt.n,
                    upstream_status=found.raw_status,
                    error=found.error_message,
                )
        if failed is not None:
            changes.published(self.ctx, [failed])

    def _miss(self, pair: Pair) -> None:
        """404: a restart, a balancer, a delay - or gone. Only time tells."""
        video, attempt = pair
        grace = (
            self.ctx.settings.missing_grace_seconds or self.provider.profile.missing_grace_seconds
        )
        failed = None
        with self.ctx.database.transaction() as connection:
            if video.missing_since is not None and seconds_until(video.missing_since) < -grace:
                failed = transitions.fail(
                    connection,
                    video.id,
                    code="lost",
                    message="The provider does not know this video any longer.",
                    guard="v.lease_token = :token",
                    token=self.token,
                )
            if failed is not None:
                attempts.end(connection, video.id, attempt.n, upstream_status="missing")
            else:
                wait = min(looks.first_poll(self.ctx, self.provider), grace / 4)
                polling.snooze(connection, [video.id], token=self.token, due_in=wait, missing=True)
        if failed is not None:
            changes.published(self.ctx, [failed])

    def _time_out(self, video: Video) -> None:
        """The provider was just seen still at work behind the deadline: the user need not wait any
        longer.
        """
        with self.ctx.database.transaction() as connection:
            failed = transitions.fail(
                connection,
                video.id,
                code="timeout",
                message="The provider did not finish this video in time.",
                guard="v.step = 'poll' and v.deadline_at <= least(now(), v.last_polled_at)",
            )
            if failed is not None:
                attempts.detach(connection, video.id)
        if failed is not None:
            changes.published(self.ctx, [failed])


def seconds_until(moment: datetime | None) -> float:
    """Seconds from now; 0 for None, negative for what has passed."""
    return 0.0 if moment is None else (moment - datetime.now(UTC)).total_seconds()


def _lots(found: Sequence[Found]) -> Iterator[Sequence[Found]]:
    return (found[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE))
