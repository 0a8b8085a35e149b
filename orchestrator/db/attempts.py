"""`attempts`: the row before the call, and what became of it. Nothing here is fenced by a lease:
what the provider said is a fact, whoever brings it and however late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from orchestrator.db.rows import (
    ATTEMPT,
    MINE,
    VIDEO,
    attempt_query,
    pair_query,
    to_pairs,
    video_query,
)
from orchestrator.records import Attempt, Video


def claim_submit(
    connection: Connection, video_id: str, *, token: str, lease: float
) -> Video | None:
    """Take the submit step of an admitted, due video whose provider is not paused. None: nothing to
    do there.
    """
    row = connection.execute(
        video_query(
            f"""
            update videos v set lease_token = :token, lease_until = now() + make_interval(secs =>
              :lease)
            where v.id = :id and v.status = 'queued' and v.step = 'submit' and v.admitted_at is
              not null
              and v.due_at <= now() and (v.lease_until is null or v.lease_until < now())
              and not exists (select 1 from attempts a where a.video_id = v.id and a.ended_at is
                null)
              and not exists (select 1 from providers p where p.name = v.provider and p.account =
                v.account and p.paused_until > now())
            returning {VIDEO}
            """
        ),
        {"id": video_id, "token": token, "lease": lease},
    ).one_or_none()
    return None if row is None else Video(*row)


def open_attempt(
    connection: Connection, video: Video, *, lane: str | None, token: str, lease: float
) -> Attempt | None:
    """Write the next attempt as `sent`. None: its lane is taken by another one."""
    row = connection.execute(
        attempt_query(
            f"""
            insert into attempts as a (video_id, n, provider, account, lane, lease_token,
              lease_until)
            select :id, coalesce(max(o.n), 0) + 1, :provider, :account, :lane, :token,
              now() + make_interval(secs => :lease)
            from attempts o where o.video_id = :id
            on conflict (provider, account, lane) where lane is not null and state in ('sent',
              'unknown') do nothing
            returning {ATTEMPT}
            """
        ),
        {
            "id": video.id,
            "provider": video.provider,
            "account": video.account,
            "lane": lane,
            "token": token,
            "lease": lease,
        },
    ).one_or_none()
    return None if row is None else Attempt(*row)


def lock(connection: Connection, video_id: str, n: int) -> tuple[Video, Attempt] | None:
    """Video and attempt, both locked (the video first: everybody locks in this order)."""
    rows = connection.execute(
        pair_query(
            f"select {VIDEO}, {ATTEMPT} from videos v join attempts a on a.video_id = v.id "
            "where v.id = :id and a.n = :n for update of v, a"
        ),
        {"id": video_id, "n": n},
    )
    return next(iter(to_pairs(rows)), None)


def others_open(connection: Connection, video_id: str, n: int) -> bool:
    """Whether another attempt of the video may still bring it about."""
    return bool(
        connection.scalar(
            text(
                "select exists (select 1 from attempts where video_id = :id and n <> :n "
                "and ended_at is null and not detached)"
            ),
            {"id": video_id, "n": n},
        )
    )


def accepted(
    connection: Connection,
    attempt: Attempt,
    *,
    provider_video_id: str,
    canonical_id: str,
    detached: bool,
) -> bool:
    """Write the provider's id, in whatever state the attempt is by now.

    Args:
        detached: its video has moved on; it is watched on its own, from now.
    Returns:
        False: another attempt has that id already; nothing is changed.
    """
    try:
        with connection.begin_nested():
            connection.execute(
                text(
                    "update attempts set state = 'accepted', provider_video_id = :raw, "
                    "canonical_id = :canonical, "
                    "accepted_at = clock_timestamp(), ended_at = null, detached = :detached, "
                    "due_at = case when :detached then now() end, lease_token = null, "
                    "lease_until = null "
                    "where video_id = :id and n = :n"
                ),
                {
                    "id": attempt.video_id,
                    "n": attempt.n,
                    "raw": provider_video_id,
                    "canonical": canonical_id,
                    "detached": detached,
                },
            )
    except IntegrityError:
        return False
    return True


def unknown(
    connection: Connection,
    video_id: str,
    n: int,
    *,
    grace: float | None,
    error: str | None,
    http_status: int | None,
) -> bool:
    """Nobody knows what became of it; the first look is due after `grace` seconds (None: no list
    can tell).

    False: the outcome is known by now.
    """
    return bool(
        connection.execute(
            text(
                "update attempts set state = 'unknown', unknown_at = clock_timestamp(), "
                "due_at = now() + make_interval(secs => cast(:grace as float)), error = "
                "coalesce(:error, error), "
                "http_status = coalesce(:http_status, http_status), lease_token = null, "
                "lease_until = null "
                "where video_id = :id and n = :n and state = 'sent'"
            ),
            {"id": video_id, "n": n, "grace": grace, "error": error, "http_status": http_status},
        ).rowcount
    )


def rejected(
    connection: Connection, video_id: str, n: int, *, error: str | None, http_status: int | None
) -> None:
    """The provider refused it or never got it: it costs nothing and may be followed by another."""
    connection.execute(
        text(
            "update attempts set state = 'rejected', ended_at = now(), due_at = null, error = "
            ":error, "
            "http_status = :http_status, lease_token = null, lease_until = null "
            "where video_id = :id and n = :n and state in ('sent', 'unknown', 'abandoned')"
        ),
        {"id": video_id, "n": n, "error": error, "http_status": http_status},
    )


def detach(connection: Connection, video_id: str, *, after: float = 0) -> int:
    """The video moves on without its open attempts: from now on they are watched on their own.
    Returns how many.
    """
    return connection.execute(
        text(
            "update attempts set detached = true, due_at = case when state = 'sent' then due_at "
            "else least(due_at, now() + make_interval(secs => :after)) end "
            "where video_id = :id and ended_at is null and not detached"
        ),
        {"id": video_id, "after": after},
    ).rowcount


def give_back(
    connection: Connection,
    video_id: str,
    n: int,
    *,
    token: str,
    due_in: float | None,
    unadmit: bool = True,
) -> bool:
    """Let go of a submit step: try again in `due_in` seconds (None: when its attempt is known),
    from the backlog.

    False: somebody else has decided by now.
    """
    return bool(
        connection.execute(
            text(
                "update videos v set lease_token = null, lease_until = null, "
                "admitted_at = case when :unadmit then null else v.admitted_at end, "
                "due_at = now() + make_interval(secs => cast(:due_in as float)), "
                "snoozed = coalesce(cast(:due_in as float) > 0, false) "
                f"where v.id = :id and v.status = 'queued' and {MINE}"
            ),
            {"id": video_id, "n": n, "token": token, "due_in": due_in, "unadmit": unadmit},
        ).rowcount
    )


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


def abandon(connection: Connection, attempt: Attempt, *, look_again: float | None) -> None:
    """Give up on it: its slot is free. The list is asked again in `look_again` seconds, in case it
    turns up late (None: never).
    """
    connection.execute(
        text(
            "update attempts set state = 'abandoned', ended_at = now(), lease_token = null, "
            "lease_until = null, "
            "due_at = now() + make_interval(secs => cast(:again as float)) where video_id = :id "
            "and n = :n and state = 'unknown'"
        ),
        {"id": attempt.video_id, "n": attempt.n, "again": look_again},
    )


def end(
    connection: Connection,
    video_id: str,
    n: int,
    *,
    upstream_status: str,
    cost: Decimal | None = None,
    content_expires_at: datetime | None = None,
    error: str | None = None,
) -> bool:
    """The provider is done with it, one way or the other: its slot is free. False: it had ended
    before.
    """
    return bool(
        connection.execute(
            text(
                "update attempts set ended_at = now(), due_at = null, upstream_status = :status, "
                "cost = coalesce(cost, :cost), content_expires_at = :expires, error = "
                "coalesce(:error, error), "
                "lease_token = null, lease_until = null where video_id = :id and n = :n and "
                "ended_at is null"
            ),
            {
                "id": video_id,
                "n": n,
                "status": upstream_status[:100],
                "cost": cost,
                "expires": content_expires_at,
                "error": error,
            },
        ).rowcount
    )


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


def matchable(
    connection: Connection, provider: str, account: str, *, within: timedelta
) -> list[tuple[Video, Attempt]]:
    """Attempts that a video in the provider's list may still belong to: unknown ones, and young
    abandoned ones.
    """
    rows = connection.execute(
        pair_query(
            f"select {VIDEO}, {ATTEMPT} from attempts a join videos v on v.id = a.video_id "
            "where a.provider = :provider and a.account = :account and a.state in ('unknown', "
            "'abandoned') and a.due_at is not null "
            "and (a.state = 'unknown' or a.sent_at > now() - :within) order by a.sent_at"
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


def of_video(connection: Connection, video_id: str) -> list[Attempt]:
    """All attempts of a video, in their order."""
    rows = connection.execute(
        attempt_query(f"select {ATTEMPT} from attempts a where a.video_id = :id order by a.n"),
        {"id": video_id},
    )
    return [Attempt(*row) for row in rows]


def accepted_of(connection: Connection, video_id: str) -> Attempt | None:
    """The attempt by which a video was accepted (not one that was detached)."""
    rows = connection.execute(
        attempt_query(
            f"select {ATTEMPT} from attempts a where a.video_id = :id and a.state = 'accepted' "
            "order by a.detached, a.n desc limit 1"
        ),
        {"id": video_id},
    )
    return next((Attempt(*row) for row in rows), None)


def open_count(connection: Connection, video_id: str) -> int:
    """How many attempts of a video are open, detached ones included."""
    return int(
        connection.scalar(
            text("select count(*) from attempts where video_id = :id and ended_at is null"),
            {"id": video_id},
        )
        or 0
    )


def abandoned_count(connection: Connection, video_id: str) -> int:
    """How many attempts of a video were given up: what MAX_ATTEMPTS limits."""
    return int(
        connection.scalar(
            text("select count(*) from attempts where video_id = :id and state = 'abandoned'"),
            {"id": video_id},
        )
        or 0
    )
