"""Finding out what became of submissions of unknown outcome: by looking through the provider's
list.

One walk serves all unknown attempts of an account. An attempt is adopted if its video is there, and
given up only after two clean looks, far enough apart, that did not find it. Nothing is ever sent
again before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from orchestrator import acceptances, adoptions, changes, looks, outcomes, unknowns
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, providers
from orchestrator.db import looks as look_rows
from orchestrator.db.engine import Connection
from orchestrator.errors import (
    ContentMissing,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    StorageError,
    Unsupported,
)
from orchestrator.lifecycle import AttemptState, HoldReason
from orchestrator.matching import CLOCK_SLACK, Matched, Open, match
from orchestrator.meters import RECONCILED
from orchestrator.policies import backoff
from orchestrator.providers import Span, Walk
from orchestrator.records import Attempt
from orchestrator.steps import submit

log = structlog.get_logger(__name__)

CLEAN_LOOKS = 2
MAX_PAGES = 50
BATCH = 500
_LATE = timedelta(seconds=looks.DETACHED_SECONDS)


def reconcile(ctx: Context, name: str, account: str) -> None:
    """Look for the due attempts of unknown outcome at one account."""
    provider = ctx.catalog.provider(name, account)
    if provider is None or not looks.may_look(ctx, provider):
        return
    with ctx.leases.hold() as token:
        due = _claim(ctx, provider, token)
        for pair in due:
            if pair[1].adopt_id is not None:
                adoptions.look(ctx, provider, pair)
        due = [pair for pair in due if pair[1].adopt_id is None]
        if provider.profile.honours_idempotency_key:
            for pair in filter(_still_wanted, due):
                _send_again(ctx, provider, pair, token)
            due = [pair for pair in due if not _still_wanted(pair)]
        if not due:
            return

        started = datetime.now(UTC)
        try:
            earliest = min(attempt.sent_at for _, attempt in due)
            walk = ctx.pool.get(provider).walk(Span(earliest - CLOCK_SLACK, MAX_PAGES))
        except (ProviderError, Unsupported) as error:
            if isinstance(error, ProviderBusy):
                looks.asked_too_often(ctx, provider, error)
            _inconclusive(ctx, due, error)
            return

        matched = _adopt(ctx, provider, walk)
        for pair in due:
            _count_look(ctx, provider, pair, walk, started, matched)


def _still_wanted(pair: Open) -> bool:
    """Whether its video waits for this attempt. What nobody waits for is not sent again, not even
    where that is free: it may be news to the provider.
    """
    _, attempt = pair
    return attempt.state == AttemptState.UNKNOWN and not attempt.detached


def _claim(ctx: Context, provider: Provider, token: str) -> list[Open]:
    with ctx.database.transaction() as connection:
        return look_rows.claim_due(
            connection,
            provider.name,
            provider.account,
            (AttemptState.UNKNOWN, AttemptState.ABANDONED),
            token=token,
            lease=ctx.leases.seconds,
            limit=BATCH,
        )


def _adopt(ctx: Context, provider: Provider, walk: Walk) -> Matched:
    """Give every listed video that fits to an attempt: also to such that were not due,
    or given up.
    """
    account = (provider.name, provider.account)
    with ctx.database.statement() as connection:
        # In this order: whose answer comes in between is among both.
        waiting = look_rows.matchable(connection, *account, within=_LATE)
        listed = [found.canonical_id for found in walk.videos]
        known = look_rows.known_ids(connection, *account, listed)
    strange = [found for found in walk.videos if found.canonical_id not in known]
    if provider.profile.honours_idempotency_key:
        waiting = _settled_by_nothing_else(waiting)
    matched = match(provider, waiting, strange, server_offset=walk.server_offset)
    for (video, attempt), found in matched.pairs:
        log.info("adopting", video_id=video.id, attempt=attempt.n, provider=provider.name)
        ctx.meters.count(RECONCILED, provider.name, "adopted")
        acceptances.accepted(ctx, provider, video.id, attempt.n, found, token=None)
    unclaimed = len(strange) - len(matched.pairs) - matched.expected
    with ctx.database.statement() as connection:
        # Other applications may share the account: what nobody here asked for is counted, never
        # touched.
        providers.count(connection, *account, unclaimed=unclaimed)
    return matched


def _settled_by_nothing_else(waiting: Sequence[Open]) -> list[Open]:
    """Where sending again under the same key tells what became of an attempt, the list is for those
    that nobody waits for; and they take nothing that an equal one may be told to be its own.
    """
    asking = {
        attempt.shown
        for _, attempt in waiting
        if attempt.state != AttemptState.ABANDONED and not attempt.detached
    }
    return [pair for pair in waiting if pair[1].shown not in asking]


def _count_look(
    ctx: Context, provider: Provider, pair: Open, walk: Walk, started: datetime, matched: Matched
) -> None:
    """Record that this look did not find the attempt, if it did not and was clean."""
    grace = timedelta(seconds=ctx.settings.reconcile_grace_seconds)
    changed = None
    with ctx.database.transaction() as connection:
        locked = attempts.lock(connection, pair[0].id, pair[1].n)
        if locked is None or locked[1].state not in {AttemptState.UNKNOWN, AttemptState.ABANDONED}:
            return
        video, attempt = locked
        if attempt.state == AttemptState.ABANDONED:
            _look_later(ctx, connection, attempt)
            return
        since = attempt.looked_at or attempt.unknown_at or started
        unsure = (video.id, attempt.n) in matched.unsure
        blind = unsure or not walk.reached
        if blind and not _still_wanted(locked) and _watch_left(attempt) <= 0:
            attempts.abandon(connection, attempt, look_again=None)
        elif not walk.reached or started < since + grace:
            again = max(0.1, (since + grace - started).total_seconds())
            look_rows.change(
                connection, attempt, {}, due_in=again if walk.reached else grace.total_seconds()
            )
        elif attempt.looks + 1 < CLEAN_LOOKS:
            looked = {"looks": attempt.looks + 1, "looked_at": started}
            look_rows.change(connection, attempt, looked, due_in=grace.total_seconds())
        elif unsure:
            look_rows.change(connection, attempt, {}, due_in=grace.total_seconds())
            ctx.meters.count(RECONCILED, provider.name, "undecided")
            changed = unknowns.undecided(
                ctx, connection, provider, video, attempt, HoldReason.AMBIGUOUS
            )
        else:
            log.warning("attempt_abandoned", video_id=video.id, attempt=attempt.n)
            ctx.meters.count(RECONCILED, provider.name, "abandoned")
            changed = unknowns.abandoned(ctx, connection, video, attempt)
    if changed is not None:
        changes.published(ctx, [changed])


def _look_later(ctx: Context, connection: Connection, attempt: Attempt) -> None:
    """An abandoned attempt is looked for ever more rarely, for a day."""
    age = (datetime.now(UTC) - attempt.sent_at).total_seconds()
    later = max(60.0, min(age, 3600.0))
    look_rows.change(connection, attempt, {}, due_in=later if age < _LATE.total_seconds() else None)


def _inconclusive(ctx: Context, due: list[Open], error: ProviderError | Unsupported) -> None:
    """There was no look to speak of: repeat it, more slowly if it goes on. Where nobody waits for
    the answer, that ends after a day.
    """
    listed = not isinstance(error, Unsupported)
    with ctx.database.transaction() as connection:
        for pair in due:
            _, attempt = pair
            left = _watch_left(attempt)
            age = looks.DETACHED_SECONDS - left
            wait = min(max(ctx.settings.reconcile_grace_seconds / 2, age / 4), 60.0)
            if _still_wanted(pair) or (listed and left > 0):
                look_rows.change(connection, attempt, {}, due_in=max(0.1, wait))
            elif attempt.state == AttemptState.UNKNOWN and left > 0:
                look_rows.change(connection, attempt, {}, due_in=left)
            elif attempt.state == AttemptState.UNKNOWN:
                attempts.abandon(connection, attempt, look_again=None)
            else:
                look_rows.change(connection, attempt, {})
    log.warning("look_inconclusive", attempts=len(due), reason=error.code)
    for _, attempt in due:
        ctx.meters.count(RECONCILED, attempt.provider, "inconclusive")


def _watch_left(attempt: Attempt) -> float:
    """Seconds for which an attempt that nobody waits for is still looked for."""
    age = datetime.now(UTC) - (attempt.unknown_at or attempt.sent_at)
    return looks.DETACHED_SECONDS - age.total_seconds()


def _send_again(ctx: Context, provider: Provider, pair: Open, token: str) -> None:
    """A provider that knows the attempt by its key answers with what it made of it: sending again
    costs nothing.
    """
    video, attempt = pair
    try:
        found = submit.call(ctx, provider, video, attempt)
    except (ProviderAmbiguous, StorageError) as error:
        _inconclusive(ctx, [pair], _as_provider_error(error))
    except (ProviderRejected, Unsupported, ContentMissing) as error:
        outcomes.refused(ctx, video, attempt, error, token=token)
    except ProviderMisconfigured as error:
        _inconclusive(ctx, [pair], error)
    except ProviderError as error:
        wait = backoff(ctx.settings.retry_base_seconds, attempt.looks + 1, ctx.dice(), ceiling=60)
        with ctx.database.transaction() as connection:
            looks = {"looks": min(attempt.looks + 1, 1000)}
            look_rows.change(connection, attempt, looks, due_in=max(error.retry_after or 0, wait))
    else:
        acceptances.accepted(ctx, provider, video.id, attempt.n, found, token=None)


def _as_provider_error(error: ProviderAmbiguous | StorageError) -> ProviderError:
    return error if isinstance(error, ProviderError) else ProviderError(error.message)
