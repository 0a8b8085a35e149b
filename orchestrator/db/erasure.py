"""Takes a user out of every table. What money needs stays, under a name that means nobody."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.records import Video

# Each takes :user_id. The order matters: what a later one looks for must still be there.
_FORGET = (
    """
    delete from webhook_targets where target in
      (select target from deliveries where user_id = :user_id)
    """,
    "delete from deliveries where user_id = :user_id",
    "delete from webhook_endpoints where user_id = :user_id",
    "delete from idempotency_keys where user_id = :user_id",
)
_SCRUB = """
update videos set user_id = :pseudonym, prompt = '', metadata = '{}', quality = null,
  fingerprint = id, error_message = null, api_key_id = null, webhook_url = null, file_url = null,
  thumbnail_url = null, input_key = null, input_sha256 = null, input_bytes = null,
  input_type = null, content_key = null, content_sha256 = null, thumbnail_key = null,
  spritesheet_key = null, purged_at = coalesce(purged_at, now()), updated_at = now()
where id = any(:ids)
"""


def close(connection: Connection, user_id: str) -> int:
    """Remove the keys of a user and all that is told to receivers. Returns how many keys."""
    removed = connection.execute(
        text("delete from api_keys where user_id = :user_id"), {"user_id": user_id}
    ).rowcount
    for statement in _FORGET:
        connection.execute(text(statement), {"user_id": user_id})
    return removed


def batch(connection: Connection, user_id: str, *, limit: int) -> list[Video]:
    """Some videos of a user, deleted ones included."""
    rows = connection.execute(
        video_query(
            f"select {VIDEO} from videos v where v.user_id = :user_id "
            "order by v.created_at desc, v.id desc limit :limit"
        ),
        {"user_id": user_id, "limit": limit},
    )
    return to_videos(rows)


def scrub(connection: Connection, video_ids: Sequence[str], *, pseudonym: str) -> None:
    """Leave of these videos only what they were and what they cost."""
    ids = sorted(video_ids)
    connection.execute(
        text("select 1 from videos where id = any(:ids) order by id for update"), {"ids": ids}
    )
    connection.execute(text("delete from deliveries where video_id = any(:ids)"), {"ids": ids})
    connection.execute(text("delete from video_events where video_id = any(:ids)"), {"ids": ids})
    connection.execute(
        # A lane is a hash of the prompt: what is open still needs it, to be told apart.
        text(
            "update attempts set error = null, "
            "lane = case when ended_at is null then lane end, "
            "shown = case when ended_at is null then shown end where video_id = any(:ids)"
        ),
        {"ids": ids},
    )
    connection.execute(text(_SCRUB), {"ids": ids, "pseudonym": pseudonym})


def at_provider(connection: Connection, video_ids: Sequence[str]) -> int:
    """How many of these videos some provider has taken, and may still keep."""
    found = connection.scalar(
        text(
            "select count(distinct video_id) from attempts where video_id = any(:ids) "
            "and state in ('sent', 'accepted', 'unknown')"
        ),
        {"ids": list(video_ids)},
    )
    return int(found or 0)


def finish(connection: Connection, user_id: str, *, pseudonym: str) -> None:
    """Remove the quota, and the name from the audit trail."""
    names = {"user_id": user_id, "pseudonym": pseudonym}
    connection.execute(text("delete from user_quotas where user_id = :user_id"), names)
    connection.execute(
        text(
            "update audit_log set "
            "user_id = case when user_id = :user_id then :pseudonym else user_id end, "
            "subject = case when subject = :user_id then :pseudonym else subject end, "
            "data = case when data ->> 'user_id' = :user_id "
            "then jsonb_set(data, '{user_id}', to_jsonb(cast(:pseudonym as text))) else data end "
            "where user_id = :user_id or subject = :user_id or data ->> 'user_id' = :user_id"
        ),
        names,
    )
