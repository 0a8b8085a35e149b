"""The one write path of submissions: any number of them, of any users, in one transaction.

One that is refused does not disturb its neighbours: its key is freed, nothing of it is reserved
or written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orchestrator import views
from orchestrator.catalog import Catalog
from orchestrator.db import quotas, submissions, videos
from orchestrator.db.engine import Connection
from orchestrator.db.quotas import Reserved, Wanted
from orchestrator.errors import Conflict, IdempotencyKeyReused, OrchestratorError, QuotaExceeded
from orchestrator.records import Video
from orchestrator.wishes import IdempotencyKey, SdkTry, Wish

# How far the broker may run ahead of the workers. What is more waits in PostgreSQL, where it can be
# dealt out fairly.
AHEAD = 500


@dataclass(frozen=True, slots=True)
class Written:
    """The video of a wish; `replayed` if an earlier one had its key, or `sdk_retry` was that of
    an earlier one. None: that video was removed since.
    """

    video: Video | None
    replayed: bool = False
    sdk_retry: bool = False


Outcome = Written | OrchestratorError


def write(catalog: Catalog, connection: Connection, wishes: Sequence[Wish]) -> list[Outcome]:
    """Write these wishes; the outcomes are in the same order. Counts only once the transaction is
    committed.
    """
    outcomes, twins = _settled_by_key(connection, wishes)
    outcomes |= _tried_before(connection, wishes)
    outcomes |= _refused_retries(connection, wishes, outcomes.keys() | twins.keys())
    fresh = [place for place in range(len(wishes)) if place not in outcomes.keys() | twins.keys()]
    grants = _reserve(connection, {place: wishes[place] for place in fresh})
    for place in fresh:
        if place not in grants:
            outcomes[place] = _refusal(connection, wishes[place])
    chosen = [place for place in fresh if place in grants]
    rows = [_row(wishes[place], grants[place]) for place in chosen]
    _admit(catalog, connection, rows, [grants[place] for place in chosen])
    written = submissions.insert(connection, rows) if rows else {}
    for place, row in zip(chosen, rows, strict=True):
        outcomes[place] = Written(written[row["id"]])
    for place, first in twins.items():
        outcome = outcomes[first]
        outcomes[place] = (
            replace(outcome, replayed=True) if isinstance(outcome, Written) else outcome
        )
    return [outcomes[place] for place in range(len(wishes))]


def _settled_by_key(
    connection: Connection, wishes: Sequence[Wish]
) -> tuple[dict[int, Outcome], dict[int, int]]:
    """Take the keys of the wishes; what an earlier submission has settled is answered here.

    Returns the outcomes so far, and the wishes that repeat one of this very batch: it is not
    written yet, so they share what becomes of it.
    """
    outcomes: dict[int, Outcome] = {}
    twins: dict[int, int] = {}
    taken: dict[str, int] = {}
    for place, wish in enumerate(wishes):
        if not isinstance(wish.key, IdempotencyKey):
            continue
        before = submissions.claim_key(
            connection,
            user_id=wish.user_id,
            route=wish.key.route,
            key=wish.key.value,
            fingerprint=wish.row["fingerprint"],
            status_code=202,
            video_ids=[wish.row["id"]],
        )
        if before is None:
            taken[wish.row["id"]] = place
        elif before.fingerprint != wish.row["fingerprint"]:
            outcomes[place] = IdempotencyKeyReused()
        elif before.video_ids[0] in taken:
            twins[place] = taken[before.video_ids[0]]
        else:
            outcomes[place] = Written(videos.get(connection, before.video_ids[0]), replayed=True)
    return outcomes, twins


def _tried_before(connection: Connection, wishes: Sequence[Wish]) -> dict[int, Outcome]:
    """Of the wishes without a key, those that the SDK has sent before: their answer was lost.

    A try may also overtake the one before it; the late one then meets the video of the early one.
    """
    met: dict[int, Outcome] = {}
    for place, wish in enumerate(wishes):
        if not isinstance(wish.key, SdkTry):
            continue
        video = submissions.absorb_try(
            connection,
            user_id=wish.user_id,
            api_key_id=wish.row["api_key_id"],
            fingerprint=wish.row["fingerprint"],
            bit=wish.key.bit,
            window=wish.key.window,
        )
        if video is not None:
            met[place] = Written(video, replayed=True, sdk_retry=True)
    return met


def _refused_retries(
    connection: Connection, wishes: Sequence[Wish], settled: Set[int]
) -> dict[int, Outcome]:
    """Of the retries among the wishes, those whose video has a live one already: two would be paid
    for.
    """
    refused: dict[int, Outcome] = {}
    taken: set[str] = set()
    for place, wish in enumerate(wishes):
        source = wish.row.get("retry_of")
        if source is None or place in settled:
            continue
        if source in taken or submissions.live_retry(connection, source):
            _free_key(connection, wish)
            refused[place] = Conflict(
                "A retry of this video is under way already.", code="retry_exists"
            )
        taken.add(source)
    return refused


def _free_key(connection: Connection, wish: Wish) -> None:
    """A refused request leaves its key to the next try."""
    if isinstance(wish.key, IdempotencyKey):
        submissions.free_key(
            connection, user_id=wish.user_id, route=wish.key.route, key=wish.key.value
        )


def _reserve(connection: Connection, wishes: Mapping[int, Wish]) -> dict[int, Reserved]:
    """Reserve for all; a user whose wishes do not fit together gets as many of them as fit, in
    order.
    """
    by_user: dict[str, list[int]] = defaultdict(list)
    for place, wish in wishes.items():
        by_user[wish.user_id].append(place)
    granted = quotas.reserve(
        connection,
        [
            Wanted(user_id, len(places), sum((wishes[place].cost for place in places), Decimal(0)))
            for user_id, places in by_user.items()
        ],
    )
    grants = {place: granted[user_id] for user_id in granted for place in by_user[user_id]}
    for user_id, places in by_user.items():
        if user_id in granted or len(places) == 1:
            continue
        for place in places:
            alone = quotas.reserve(connection, [Wanted(user_id, 1, wishes[place].cost)])
            if user_id in alone:
                grants[place] = alone[user_id]
    return grants


def _refusal(connection: Connection, wish: Wish) -> QuotaExceeded:
    """Free the key of a wish that the quota does not allow, and say why it does not."""
    _free_key(connection, wish)
    quota = quotas.ensure(connection, wish.user_id)
    shown = views.quota(quota)
    numbers = {
        name: shown[name]
        for name in ("used", "limit", "remaining", "reset_at", "cost_used", "cost_limit")
    }
    if quota.remaining >= 1 and quota.cost_limit is not None:
        message = (
            f"The cost limit of {quota.cost_limit:.2f} USD a month does not allow this: "
            f"{quota.cost_used:.2f} used, this one costs {wish.cost:.2f}."
        )
    else:
        used, limit = quota.videos_created, quota.videos_limit
        message = f"Quota exceeded: {used} of {limit} videos used this month."
    return QuotaExceeded(message, quota=numbers)


def _row(wish: Wish, reserved: Reserved) -> dict[str, Any]:
    return {
        **wish.row,
        "quota_period": reserved.period_started_at,
        "sdk_tries": wish.key.bit if isinstance(wish.key, SdkTry) else 1,
        "admit": False,
    }


def _admit(
    catalog: Catalog,
    connection: Connection,
    rows: Sequence[dict[str, Any]],
    grants: Iterable[Reserved],
) -> None:
    """Let those start at once that need not be dealt out: no cap anywhere, nobody waiting."""
    rooms: dict[tuple[str, str], int] = {}
    now = datetime.now(UTC)
    for row, reserved in zip(rows, grants, strict=True):
        provider = catalog.provider(row["provider"], row["account"])
        if provider is None or provider.max_in_flight or provider.rpm or reserved.max_in_flight:
            continue
        if row.get("run_at") is not None and row["run_at"] > now:
            continue
        account = (row["provider"], row["account"])
        if account not in rooms:
            rooms[account] = submissions.room(connection, *account, ahead=AHEAD)
        row["admit"] = rooms[account] > 0
        rooms[account] -= 1
