"""The write path of a submission: idempotency keys, videos and their first events, any number in
one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db import outbox
from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.records import Video

# What a new video brings; everything else has a default or is decided here.
_GIVEN = {
    "id": "text",
    "user_id": "text",
    "model": "text",
    "prompt": "text",
    "size": "text",
    "seconds": "text",
    "quality": "text",
    "remixed_from_video_id": "text",
    "metadata": "jsonb",
    "kind": "text",
    "provider": "text",
    "account": "text",
    "run_at": "timestamptz",
    "priority": "smallint",
    "fingerprint": "text",
    "api_key_id": "text",
    "retry_of": "text",
    "cost_estimated": "numeric",
    "quota_period": "timestamptz",
    "webhook_url": "text",
    "input_key": "text",
    "input_sha256": "text",
    "input_bytes": "bigint",
    "input_type": "text",
    "extension_seconds": "text",
    "sdk_tries": "smallint",
    "candidates": "text[]",
}
_NAMES = ", ".join(_GIVEN)
_TYPES = ", ".join(f"{name} {kind}" for name, kind in _GIVEN.items())
_SOURCES = ", ".join(f"g.{name}" for name in _GIVEN)

_INSERT = f"""
with given as (select * from jsonb_to_recordset(cast(:rows as jsonb))
                 as g({_TYPES}, admit boolean, events jsonb)),
v as (
  insert into videos ({_NAMES}, step, due_at, snoozed, admitted_at, rung_at, rank_at, seq)
  select {_SOURCES}, 'submit', coalesce(g.run_at, now()), coalesce(g.run_at > now(), false),
    case when g.admit then now() end, case when g.admit then now() end,
    now() - g.priority * interval '10 minutes', jsonb_array_length(g.events)
  from given g returning *),
told as (
  insert into video_events (video_id, event_type, event_data, seq, user_id)
  select g.id, e.value ->> 'type', e.value -> 'data', e.place, g.user_id
  from given g, jsonb_array_elements(g.events) with ordinality e(value, place))
select {VIDEO}, {outbox.WANTED} from v
"""


def insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Video]:
    """Write new videos with their first events; by id.

    Each row has the columns of a new video, `admit` (it starts at once) and `events` ([{type,
    data}]).
    """
    if unknown := {name for row in rows for name in row} - _GIVEN.keys() - {"admit", "events"}:
        raise KeyError(sorted(unknown))
    result = connection.execute(
        video_query(_INSERT), {"rows": json.dumps([dict(row) for row in rows], default=str)}
    ).all()
    if wanted := [row[0] for row in result if row[-1]]:
        outbox.queue(connection, wanted, last=max(len(row["events"]) for row in rows))
    return {video.id: video for video in to_videos(row[:-1] for row in result)}


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an Idempotency-Key has led to."""

    fingerprint: str
    status_code: int
    video_ids: tuple[str, ...]


def claim_key(
    connection: Connection,
    *,
    user_id: str,
    route: str,
    key: str,
    fingerprint: str,
    status_code: int,
    video_ids: Sequence[str],
) -> Remembered | None:
    """Take an Idempotency-Key for these videos. None: it is ours now; else: what it was used for
    before.

    Waits for a transaction that is just taking the same key, and so sees its outcome.
    """
    taken = connection.scalar(
        text(
            "insert into idempotency_keys (user_id, route, key, fingerprint, status_code, "
            "video_ids) "
            "values (:user_id, :route, :key, :fingerprint, :status_code, :video_ids) "
            "on conflict do nothing returning true"
        ),
        {
            "user_id": user_id,
            "route": route,
            "key": key,
            "fingerprint": fingerprint,
            "status_code": status_code,
            "video_ids": list(video_ids),
        },
    )
    if taken:
        return None
    row = connection.execute(
        text(
            "select fingerprint, status_code, video_ids from idempotency_keys "
            "where user_id = :user_id and route = :route and key = :key"
        ),
        {"user_id": user_id, "route": route, "key": key},
    ).one()
    return Remembered(row[0], row[1], tuple(row[2]))


def free_key(connection: Connection, *, user_id: str, route: str, key: str) -> None:
    """Give an Idempotency-Key back: what was asked for with it was refused."""
    connection.execute(
        text(
            "delete from idempotency_keys where user_id = :user_id and route = :route and key "
            "= :key"
        ),
        {"user_id": user_id, "route": route, "key": key},
    )


def absorb_try(
    connection: Connection,
    *,
    user_id: str,
    api_key_id: str | None,
    fingerprint: str,
    bit: int,
    window: float,
) -> Video | None:
    """The video that another try of the same SDK call has made, marked as the answer to this one
    too; None if there is none.

    Equal requests take turns from here to the end of their transactions, so that a retry sees what
    the request before it does. A video that its client has looked at was answered for, and each
    try is met once: it takes two creates to absorb two first retries.

    Args:
        bit: of `sdk_tries`, that of this try.
        window: seconds before now in which the video was made.
    """
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(:user_id || ' ' || :fingerprint, 0))"),
        {"user_id": user_id, "fingerprint": fingerprint},
    )
    row = connection.execute(
        video_query(
            f"""
            update videos v set sdk_tries = sdk_tries | :bit where id = (
              select id from videos where user_id = :user_id and fingerprint = :fingerprint
                and created_at > now() - make_interval(secs => :window)
                and first_fetched_at is null and status <> 'deleted'
                and api_key_id is not distinct from cast(:api_key_id as text)
                and sdk_tries & :bit = 0
              order by created_at, id limit 1 for update)
            returning {VIDEO}
            """
        ),
        {
            "user_id": user_id,
            "api_key_id": api_key_id,
            "fingerprint": fingerprint,
            "bit": bit,
            "window": window,
        },
    ).one_or_none()
    return None if row is None else Video(*row)


def live_retry(connection: Connection, video_id: str) -> bool:
    """Whether a retry of this video is under way; waits for one that is just being written."""
    connection.execute(text("select 1 from videos where id = :id for update"), {"id": video_id})
    return bool(
        connection.scalar(
            text(
                "select exists (select 1 from videos where retry_of = :id and status in "
                "('queued', 'in_progress'))"
            ),
            {"id": video_id},
        )
    )


def room(connection: Connection, provider: str, account: str, *, ahead: int) -> int:
    """How many videos may start without waiting for the sweep: none where somebody waits or the
    provider is paused, else what `ahead` leaves beside those admitted and not yet picked up.
    """
    return int(
        connection.scalar(
            text(
                """
                select case
                  -- Ordered as the index is: EXISTS would be sure to meet a waiting video soon, and
                  -- read the whole table where nobody waits.
                  when (select true from videos where provider = :provider
                    and account = :account and status = 'queued' and admitted_at is null
                    and not snoozed and due_at <= now() order by user_id, rank_at, id limit 1)
                    then 0
                  when exists (select 1 from providers where name = :provider
                    and account = :account and (paused_until > now() or pauses > 0)) then 0
                  else :ahead - (select count(*) from (select 1 from videos
                    where provider = :provider and account = :account and status = 'queued'
                      and admitted_at is not null limit :ahead) a)
                end
                """
            ),
            {"provider": provider, "account": account, "ahead": ahead},
        )
        or 0
    )
