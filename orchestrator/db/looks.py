"""Attempts that want a look at the provider's list, and those that its videos may belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db.rows import ATTEMPT, VIDEO, pair_query, to_pairs
from orchestrator.records import Attempt, Video


def claim_due(
    connection: Connection,
    provider: str,
    account: str,
    states: Sequence[str],
    *,
    token: str,
    lease: float,
    limit: int,
) -> list[tuple[Video, Attempt]]:
    """Take the attempts in these states that want a look, oldest first, with their videos."""
    rows = connection.execute(
        pair_query(
            f"""
            with d as (
              select video_id, n from attempts
              where provider = :provider and account = :account and state = any(:states) and
                due_at <= now()
                and (lease_until is null or lease_until < now())
              order by due_at limit :limit for update skip locked),
            a as (
              update attempts u set lease_token = :token, lease_until = now() +
                make_interval(secs => :lease)
              from d where u.video_id = d.video_id and u.n = d.n returning u.*)
            select {VIDEO}, {ATTEMPT} from a join videos v on v.id = a.video_id order by a.sent_at
            """
        ),
        {
            "provider": provider,
            "account": account,
            "states": list(states),
            "token": token,
            "lease": lease,
            "limit": limit,
        },
    )
    return to_pairs(rows)


def change(
    connection: Connection,
    attempt: Attempt,
    values: Mapping[str, Any],
    *,
    due_in: float | None = None,
) -> None:
    """Set columns of one attempt, give its lease back and say when to look again (None: never).

    Does nothing if the lease that `attempt` was read with is gone: somebody has settled it since.
    """
    allowed = {
        "looks",
        "looked_at",
        "upstream_status",
        "missing_since",
        "ended_at",
        "content_expires_at",
        "state",
        "error",
        "http_status",
        "cost",
        "adopt_id",
    }
    if not set(values) <= allowed:
        raise KeyError(sorted(set(values) - allowed))
    sets = "".join(f"{name} = :{name}, " for name in sorted(values))
    connection.execute(
        text(
            f"update attempts set {sets} lease_token = null, lease_until = null, "
            "due_at = now() + make_interval(secs => cast(:due_in as float)) where video_id = "
            ":id and n = :n_ and lease_token is not distinct from :lease"
        ),
        {
            **values,
            "due_in": due_in,
            "id": attempt.video_id,
            "n_": attempt.n,
            "lease": attempt.lease_token,
        },
    )


def known_ids(
    connection: Connection, provider: str, account: str, canonical_ids: Sequence[str]
) -> set[str]:
    """Which of these provider videos belong to an attempt of ours."""
    rows = connection.execute(
        text(
            "select canonical_id from attempts where provider = :provider and account = :account "
            "and canonical_id = any(:ids)"
        ),
        {"provider": provider, "account": account, "ids": list(canonical_ids)},
    )
    return set(rows.scalars())


def creates(
    connection: Connection, provider: str, account: str, canonical_ids: Sequence[str]
) -> dict[str, Video]:
    """Those of these provider videos that were asked for without a source or an image, with what
    was asked for.
    """
    rows = connection.execute(
        pair_query(
            f"select {VIDEO}, {ATTEMPT} from attempts a join videos v on v.id = a.video_id "
            "where a.provider = :provider and a.account = :account and a.canonical_id = any(:ids) "
            "and v.kind = 'create' and v.input_key is null"
        ),
        {"provider": provider, "account": account, "ids": list(canonical_ids)},
    )
    return {attempt.canonical_id or "": video for video, attempt in to_pairs(rows)}


def matchable(
    connection: Connection, provider: str, account: str, *, within: timedelta
) -> list[tuple[Video, Attempt]]:
    """Attempts that a video in the provider's list may belong to: those that are being sent,
    unknown ones, and young abandoned ones.
    """
    rows = connection.execute(
        pair_query(
            f"select {VIDEO}, {ATTEMPT} from attempts a join videos v on v.id = a.video_id "
            "where a.provider = :provider and a.account = :account and (a.state = 'sent' "
            "or (a.due_at is not null and (a.state = 'unknown' "
            "or (a.state = 'abandoned' and a.sent_at > now() - :within)))) order by a.sent_at"
        ),
        {"provider": provider, "account": account, "within": within},
    )
    return to_pairs(rows)


def ask_looks(connection: Connection, provider: str, account: str) -> None:
    """Make the open attempts of an account due now: something has happened there (a webhook with a
    strange id).
    """
    connection.execute(
        text(
            "update attempts set due_at = now() where provider = :provider and account = :account "
            "and state = 'unknown' and due_at > now()"
        ),
        {"provider": provider, "account": account},
    )


def held(connection: Connection, *, limit: int) -> list[tuple[Video, Attempt]]:
    """Held videos with the attempt of unknown outcome that they wait for, oldest first."""
    rows = connection.execute(
        pair_query(
            f"select {VIDEO}, {ATTEMPT} from videos v join attempts a on a.video_id = v.id "
            "and a.state = 'unknown' and not a.detached "
            "where v.hold_reason is not null order by v.created_at, v.id limit :limit"
        ),
        {"limit": limit},
    )
    return to_pairs(rows)
