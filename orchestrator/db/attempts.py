"""`attempts`: the row before the call, and what became of it. Nothing here is fenced by a lease:
what the provider said is a fact, whoever brings it and however late.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from orchestrator.db.rows import ATTEMPT, VIDEO, attempt_query, pair_query, to_pairs
from orchestrator.records import Attempt, Video


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


def offer(connection: Connection, attempt: Attempt, provider_video_id: str) -> None:
    """Note the provider's id that somebody says it has: it is due to be tried."""
    connection.execute(
        text(
            "update attempts set adopt_id = :offered, due_at = now(), rung_at = null, "
            "lease_token = null, lease_until = null where video_id = :id and n = :n"
        ),
        {"offered": provider_video_id, "id": attempt.video_id, "n": attempt.n},
    )


def abandon(connection: Connection, attempt: Attempt, *, look_again: float | None) -> None:
    """Give up on it: its slot is free. The list is asked again in `look_again` seconds, in case it
    turns up late (None: never).
    """
    connection.execute(
        text(
            "update attempts set state = 'abandoned', ended_at = now(), adopt_id = null, "
            "lease_token = null, lease_until = null, "
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
