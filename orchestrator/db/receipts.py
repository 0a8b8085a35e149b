"""`webhook_receipts`: which webhooks of providers we have seen; and what they make due."""

from __future__ import annotations

from sqlalchemy import Connection, text


def take(connection: Connection, provider: str, message_id: str) -> bool:
    """Note a message. False: it was noted before."""
    return bool(
        connection.execute(
            text(
                "insert into webhook_receipts (provider, message_id) values (:provider, :id) "
                "on conflict do nothing"
            ),
            {"provider": provider, "id": message_id},
        ).rowcount
    )


def make_due(
    connection: Connection, provider: str, account: str, canonical_id: str
) -> tuple[str, bool] | None:
    """Let the next look at the provider's video be due now. Returns our video's id and whether it
    is still ours to poll (else its attempt is watched); None: nobody here knows it.

    Whoever holds the video for a look loses it, since that look may be over, or wait for its next
    round: what it would write asks for its lease, and one look too many costs one call.
    """
    row = connection.execute(
        text(
            """
            with a as (select video_id, n, detached from attempts where provider = :provider
                         and account = :account and canonical_id = :canonical_id),
            polled as (update videos v set due_at = least(v.due_at, now()), rung_at = now(),
                lease_token = null, lease_until = null from a
              where v.id = a.video_id and not a.detached and v.step = 'poll'),
            watched as (update attempts t set due_at = now() from a
              where t.video_id = a.video_id and t.n = a.n and a.detached
                and t.ended_at is null and t.due_at > now() and t.lease_token is null)
            select video_id, not detached from a
            """
        ),
        {"provider": provider, "account": account, "canonical_id": canonical_id},
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def forget(connection: Connection, *, days: float, limit: int) -> int:
    """Drop old receipts. Returns how many."""
    return connection.execute(
        text(
            "delete from webhook_receipts where ctid in (select ctid from webhook_receipts "
            "where received_at < now() - make_interval(secs => :age) order by received_at "
            "limit :limit)"
        ),
        {"age": days * 86_400, "limit": limit},
    ).rowcount
