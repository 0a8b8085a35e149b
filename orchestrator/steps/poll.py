"""Poll: look how far videos are. One list call stands for many single ones where the provider has a
list.

A bad look says nothing about a video: only what the provider says of it moves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from orchestrator import changes, outcomes
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, polling, providers
from orchestrator.db.polling import Generated, Running
from orchestrator.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMissing,
    ProviderTransient,
    Unsupported,
)
from orchestrator.lifecycle import Step
from orchestrator.policies import backoff, poll_delay
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, ProviderState, Video

log = structlog.get_logger(__name__)

LIST_FROM = 4
"""From so many videos on, a look through the list is cheaper than single ones."""
RETRY_CEILING = 30.0
MAX_PAGES = 20
BAD_ANSWERS = 2
"""One that cannot be read says little of the others; after two the provider is left alone."""

Pair = tuple[Video, Attempt]


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
                _Look(ctx, provider, token).at(pairs)


def _snooze(ctx: Context, pairs: Sequence[Pair], token: str, seconds: float) -> None:
    with ctx.database.statement() as connection:
        ids = [video.id for video, _ in pairs]
        polling.snooze(connection, ids, token=token, due_in=seconds)


class _Look:
    """One look at some videos of one account: collects what was seen, then records it in few
    statements.
    """

    def __init__(self, ctx: Context, provider: Provider, token: str):
        self.ctx = ctx
        self.provider = provider
        self.token = token
        self.state: ProviderState | None = None
        self.running: list[Running] = []
        self.generated: list[Generated] = []
        self.failed: list[tuple[Pair, ProviderVideo]] = []
        self.missing: list[Pair] = []
        self.unseen: list[Pair] = []
        self.late: list[Pair] = []
        self.bad_answers = 0

    def at(self, pairs: Sequence[Pair]) -> None:
        """Look at all of them, and record what was seen."""
        with self.ctx.database.statement() as connection:
            self.state = providers.get(connection, self.provider.name, self.provider.account)
        paused = _seconds_until(self.state.polls_paused_until if self.state else None)
        if paused > 0:
            _snooze(self.ctx, pairs, self.token, paused)
            return
        try:
            self._ask(pairs)
        except ProviderBusy as error:
            outcomes.asked_too_often(self.ctx, self.provider, error)
        except (ProviderError, Unsupported) as error:
            log.warning("poll_failed", provider=self.provider.name, reason=error.code)
        seen = {item.id for item in self.running} | {item.id for item in self.generated}
        seen |= {video.id for (video, _), _ in self.failed} | {
            video.id for video, _ in self.missing
        }
        self.unseen = [pair for pair in pairs if pair[0].id not in seen]
        self._record()

    def _ask(self, pairs: Sequence[Pair]) -> None:
        remaining = list(pairs)
        if self.provider.profile.list != "none" and len(pairs) >= LIST_FROM:
            try:
                remaining = self._walk(pairs)
            except (ProviderTransient, Unsupported) as error:
                self._bear(error)
        client = self.ctx.pool.get(self.provider)
        # Those that have given trouble come last, so that they keep nobody from being seen.
        for pair in sorted(remaining, key=lambda pair: pair[0].failures):
            try:
                self._judge(pair, client.retrieve(pair[1].provider_video_id or ""))
            except ProviderMissing:
                self.missing.append(pair)
            except ProviderTransient as error:
                self._bear(error)

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
        oldest = min(attempt.accepted_at or attempt.sent_at for _, attempt in pairs)
        walk = self.ctx.pool.get(self.provider).walk(
            until=oldest - timedelta(seconds=60), max_pages=MAX_PAGES
        )
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
            self.generated.append(self._generated(video, attempt, found))
        elif found.status == "failed":
            self.failed.append((pair, found))
        else:
            if not found.status_known:
                log.warning("strange_status", video_id=video.id, status=found.raw_status[:100])
            if video.deadline_at is not None and video.deadline_at <= datetime.now(UTC):
                self.late.append(pair)
            progress = min(max(found.progress or 0, 0), 98)
            self.running.append(Running(video.id, progress, self._delay(video, attempt, found)))

    def _generated(self, video: Video, attempt: Attempt, found: ProviderVideo) -> Generated:
        now = datetime.now(UTC)
        expires = now + self.provider.profile.retention
        if found.expires_at is not None and found.expires_at > now:
            expires = found.expires_at
        return Generated(
            video.id,
            attempt.n,
            found.raw_status,
            charged(self.ctx, self.provider, video, found),
            expires,
        )

    def _delay(self, video: Video, attempt: Attempt, found: ProviderVideo) -> float:
        age = (datetime.now(UTC) - (attempt.accepted_at or attempt.sent_at)).total_seconds()
        durations = self.state.durations if self.state else {}
        return poll_delay(
            max(age, 0.0),
            outcomes.first_poll(self.ctx, self.provider),
            self.ctx.dice(),
            observed=durations.get(kind_of_work(video), ()),
            hint=found.poll_after,
        )

    def _record(self) -> None:
        with self.ctx.database.transaction() as connection:
            changed = polling.still_running(connection, self.running, token=self.token)
            stored = polling.generated(connection, self.generated, token=self.token)
        changes.ring_stores(self.ctx, stored)
        changes.published(self.ctx, [*changed, *stored])
        self._observe(stored)
        for (video, attempt), found in self.failed:
            self._fail(video, attempt, found)
        for pair in self.missing:
            self._miss(pair)
        for video, _ in self.late:
            self._time_out(video)
        for video, _ in self.unseen:
            base = outcomes.first_poll(self.ctx, self.provider)
            wait = backoff(
                base, video.failures + 1, self.ctx.dice(), ceiling=max(base, RETRY_CEILING)
            )
            with self.ctx.database.statement() as connection:
                polling.snooze(connection, [video.id], token=self.token, due_in=wait, failed=True)

    def _observe(self, stored: Sequence[Video]) -> None:
        """Learn how long such videos take; a sample now and then is enough."""
        by_id = {item.id: item.n for item in self.generated}
        for video in stored[:1]:
            if by_id and self.ctx.limits.once(
                f"observed:{self.provider.name}:{kind_of_work(video)}", 1.0
            ):
                with self.ctx.database.statement() as connection:
                    attempt = attempts.accepted_of(connection, video.id)
                    if attempt is None or attempt.accepted_at is None or attempt.ended_at is None:
                        continue
                    took = (attempt.ended_at - attempt.accepted_at).total_seconds()
                    name, account = self.provider.name, self.provider.account
                    providers.observe(connection, name, account, kind_of_work(video), took)

    def _fail(self, video: Video, attempt: Attempt, found: ProviderVideo) -> None:
        with self.ctx.database.transaction() as connection:
            failed = outcomes.fail(
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
            if video.missing_since is not None and _seconds_until(video.missing_since) < -grace:
                failed = outcomes.fail(
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
                wait = min(outcomes.first_poll(self.ctx, self.provider), grace / 4)
                polling.snooze(connection, [video.id], token=self.token, due_in=wait, missing=True)
        if failed is not None:
            changes.published(self.ctx, [failed])

    def _time_out(self, video: Video) -> None:
        """The provider was just seen still at work behind the deadline: the user need not wait any
        longer.
        """
        with self.ctx.database.transaction() as connection:
            failed = outcomes.fail(
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


def charged(ctx: Context, provider: Provider, video: Video, found: ProviderVideo) -> Decimal:
    """What the provider charges for what it has made, which may differ from what was asked for."""
    # Of an extension the provider tells the length with its source, which was paid for before.
    seconds = video.extension_seconds or found.seconds or video.seconds
    return ctx.catalog.price(provider, video.model, found.size or video.size, seconds)


def kind_of_work(video: Video) -> str:
    """Videos of the same kind take about as long."""
    return f"{video.model} {video.seconds}"


def _seconds_until(moment: datetime | None) -> float:
    return 0.0 if moment is None else (moment - datetime.now(UTC)).total_seconds()
