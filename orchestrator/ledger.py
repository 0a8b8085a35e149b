"""The one write path of submissions: any number of them, of any users, in one transaction and a
handful of statements.

One that is refused does not disturb its neighbours: its key is freed, nothing of it is reserved
or written.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from orchestrator.catalog import Catalog
from orchestrator.db import idempotency, intake, submissions, videos
from orchestrator.db.engine import Connection
from orchestrator.db.idempotency import Claim
from orchestrator.db.intake import Unplain as Unplain
from orchestrator.db.quotas import Reserved
from orchestrator.db.submissions import PATIENCE_SECONDS, Try
from orchestrator.errors import Conflict, IdempotencyKeyReused, OrchestratorError
from orchestrator.records import Video
from orchestrator.reservations import reserve
from orchestrator.wishes import IdempotencyKey, Key, SdkTry, Wish, Wishes

# How far the broker may run ahead of the workers. What is more waits in PostgreSQL, where it can be
# dealt out fairly.
AHEAD = 500


@dataclass(frozen=True, slots=True)
class Written:
    """The video of a wish; `replayed` if an earlier one had its key, or `sdk_retry` was that of
    an earlier one. None: that video was removed since. `text`: as `GET` shows it, where that was
    made already.
    """

    video: Video | None
    replayed: bool = False
    sdk_retry: bool = False
    text: bytes | None = None


Outcome = Written | OrchestratorError


def write(
    catalog: Catalog,
    connection: Connection,
    wishes: Sequence[Wish],
    *,
    patience: float = PATIENCE_SECONDS,
) -> list[Outcome]:
    """Write these wishes; the outcomes are in the same order. Counts only once the transaction is
    committed. `patience`: seconds to wait for each lock.
    """
    submissions.begin(connection, patience=patience)
    outcomes: dict[int, Outcome] = {}
    waiting = dict(enumerate(wishes))
    while waiting:
        behind = _behind(waiting)
        turn = {place: wish for place, wish in waiting.items() if place not in behind}
        outcomes |= _write(catalog, connection, turn)
        for place, first in behind.items():
            if first in outcomes and _same_key(wishes[place], wishes[first]):
                outcomes |= _follow(place, wishes, first, outcomes[first])
        waiting = {place: wishes[place] for place in behind if place not in outcomes}
    return [outcomes[place] for place in range(len(wishes))]


def write_plain(
    catalog: Catalog, connection: Connection, wishes: Sequence[Wish], *, patience: float
) -> list[Outcome]:
    """As `write`, in one statement, where nothing is to be decided.

    Raises:
        Unplain: something is. What this has written must not be committed.
    """
    if not all(map(_plain, wishes)) or _behind(dict(enumerate(wishes))):
        raise Unplain
    rows = [
        {**w.row, **_named(w.key), "sdk_tries": 1, "free": _uncapped(catalog, w.row)}
        for w in wishes
    ]
    written = intake.write(connection, rows, patience=patience, ahead=AHEAD)
    return [Written(written[row["id"]]) for row in rows]


def _plain(wish: Wish) -> bool:
    return not isinstance(wish.key, SdkTry) and wish.row.get("retry_of") is None


def _named(key: Key | None) -> dict[str, str]:
    return {"route": key.route, "key": key.value} if isinstance(key, IdempotencyKey) else {}


def _uncapped(catalog: Catalog, row: Mapping[str, Any]) -> bool:
    """Whether nothing of its provider or its time forbids that this video starts at once."""
    provider = catalog.provider(row["provider"], row["account"])
    if provider is None or provider.max_in_flight or provider.rpm:
        return False
    run_at = row.get("run_at")
    return run_at is None or run_at <= datetime.now(UTC)


def _behind(wishes: Wishes) -> dict[int, int]:
    """Those that must wait for what becomes of another one of this batch, and for which: a key, a
    call of an SDK and a retried video each make one video at a time.
    """
    first: dict[Hashable, tuple[int, Hashable]] = {}
    behind: dict[int, int] = {}
    for place, wish in wishes.items():
        for name, group in _names(wish):
            ahead, its_group = first.setdefault(name, (place, group))
            if its_group != group:
                behind.setdefault(place, ahead)
    return behind


def _names(wish: Wish) -> Iterator[tuple[Hashable, Hashable]]:
    """What a wish is to have for itself, or for its group."""
    if isinstance(wish.key, IdempotencyKey):
        yield ("key", wish.user_id, wish.key.route, wish.key.value), wish.row["id"]
    elif isinstance(wish.key, SdkTry):
        # Two first requests are two calls, and do not ask about each other.
        yield ("call", wish.user_id, wish.row["fingerprint"]), wish.key.bit
    if wish.row.get("retry_of") is not None:
        yield ("retry", wish.row["retry_of"]), wish.row["id"]


def _same_key(one: Wish, other: Wish) -> bool:
    return (
        isinstance(one.key, IdempotencyKey)
        and one.key == other.key
        and one.user_id == other.user_id
    )


def _follow(place: int, wishes: Sequence[Wish], first: int, outcome: Outcome) -> dict[int, Outcome]:
    """What becomes of a wish whose key has just been another one's. Nothing, if that was refused
    and this is another request: a refusal frees the key.
    """
    same = wishes[place].row["fingerprint"] == wishes[first].row["fingerprint"]
    if isinstance(outcome, Written):
        return {place: replace(outcome, replayed=True) if same else IdempotencyKeyReused()}
    return {place: outcome} if same else {}


def _write(catalog: Catalog, connection: Connection, wishes: Wishes) -> dict[int, Outcome]:
    """Write wishes of which none has to wait for another."""
    outcomes = _settled_by_key(connection, wishes)
    outcomes |= _tried_before(connection, wishes)
    refused = _refused_retries(connection, _without(wishes, outcomes))
    fresh = _without(wishes, outcomes | refused)
    grants, too_much = reserve(connection, fresh)
    refused |= too_much
    idempotency.free(connection, _claims({place: wishes[place] for place in refused}))
    rows = {place: _row(fresh[place], grants[place]) for place in fresh if place in grants}
    _admit(catalog, connection, rows.values(), (grants[place] for place in rows))
    written = submissions.insert(connection, list(rows.values())) if rows else {}
    outcomes |= {place: Written(written[row["id"]]) for place, row in rows.items()}
    return outcomes | refused


def _without(wishes: Wishes, settled: Mapping[int, Outcome]) -> Wishes:
    return {place: wish for place, wish in wishes.items() if place not in settled}


def _claims(wishes: Wishes) -> list[Claim]:
    return [
        Claim(w.user_id, w.key.route, w.key.value, w.row["fingerprint"], w.row["id"])
        for w in wishes.values()
        if isinstance(w.key, IdempotencyKey)
    ]


def _settled_by_key(connection: Connection, wishes: Wishes) -> dict[int, Outcome]:
    """Take the keys of the wishes; what an earlier submission has settled is answered here."""
    claims = _claims(wishes)
    before = idempotency.claim(connection, claims) if claims else {}
    if not before:
        return {}
    found = videos.get_many(connection, [known.video_ids[0] for known in before.values()])
    outcomes: dict[int, Outcome] = {}
    for place, wish in wishes.items():
        for claim in _claims({place: wish}):
            known = before.get(claim.name)
            if known is not None and known.fingerprint != claim.fingerprint:
                outcomes[place] = IdempotencyKeyReused()
            elif known is not None:
                outcomes[place] = Written(found.get(known.video_ids[0]), replayed=True)
    return outcomes


def _tried_before(connection: Connection, wishes: Wishes) -> dict[int, Outcome]:
    """Of the wishes without a key, those that the SDK has sent before: their answer was lost.

    A try may also overtake the one before it; the late one then meets the video of the early one.
    """
    tries = {
        place: Try(
            wish.user_id,
            wish.row["api_key_id"],
            wish.row["fingerprint"],
            wish.key.bit,
            wish.key.window,
        )
        for place, wish in wishes.items()
        if isinstance(wish.key, SdkTry)
    }
    places = list(tries)
    met = submissions.absorb(connection, list(tries.values()))
    return {places[n]: Written(video, True, sdk_retry=True) for n, video in met.items()}


def _refused_retries(connection: Connection, wishes: Wishes) -> dict[int, Outcome]:
    """Of the retries among the wishes, those whose video has a live one already: two would be paid
    for.
    """
    retries = {p: w.row["retry_of"] for p, w in wishes.items() if w.row.get("retry_of")}
    return {
        place: Conflict("A retry of this video is under way already.", code="retry_exists")
        # In the order of the videos, so that two batches cannot wait for each other.
        for place, source in sorted(retries.items(), key=lambda item: str(item[1]))
        if submissions.live_retry(connection, source)
    }


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
    rows: Iterable[dict[str, Any]],
    grants: Iterable[Reserved],
) -> None:
    """Let those start at once that need not be dealt out: no cap anywhere, nobody waiting."""
    rooms: dict[tuple[str, str], int] = {}
    for row, reserved in zip(rows, grants, strict=True):
        if reserved.max_in_flight or not _uncapped(catalog, row):
            continue
        account = (row["provider"], row["account"])
        if account not in rooms:
            rooms[account] = submissions.room(connection, *account, ahead=AHEAD)
        row["admit"] = rooms[account] > 0
        rooms[account] -= 1
