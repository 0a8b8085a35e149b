"""`video_events`: what happened. Lifecycle events are written by `transitions`; here are audit
events and the reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db.tables import video_events
from orchestrator.records import Event

_COLUMNS = "id, video_id, event_type, event_data, created_at, seq, user_id"
_RESULT = tuple(video_events.columns[name.strip()] for name in _COLUMNS.split(","))


def _events(connection: Connection, sql: str, params: Mapping[str, Any]) -> list[Event]:
    return [Event(*row) for row in connection.execute(text(sql).columns(*_RESULT), params)]


def audit(connection: Connection, video_id: str, event_type: str, data: Mapping[str, Any]) -> None:
    """Write an event that has no number: nothing of the video has changed."""
    connection.execute(
        text(
            "insert into video_events (video_id, event_type, event_data, user_id) "
            "select id, :type, cast(:data as jsonb), user_id from videos where id = :id"
        ),
        {"id": video_id, "type": event_type, "data": json.dumps(data, default=str)},
    )


def of_video(
    connection: Connection, video_id: str, *, after: int = 0, limit: int = 1000
) -> list[Event]:
    """The history of a video in the order in which it happened, behind the event with the id
    `after`.
    """
    return _events(
        connection,
        f"select {_COLUMNS} from video_events where video_id = :id and id > :after order by id "
        f"limit :limit",
        {"id": video_id, "after": after, "limit": limit},
    )


def of_user(
    connection: Connection,
    user_id: str | None,
    *,
    types: Sequence[str] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Event]:
    """Recent events of a user (None: of everybody), newest first, before the event with the id
    `before`.
    """
    return _events(
        connection,
        f"select {_COLUMNS} from video_events "
        "where (cast(:user_id as text) is null or user_id = :user_id) "
        "and (cast(:before as bigint) is null or id < :before) "
        "and (cardinality(cast(:types as text[])) = 0 or event_type = any(:types)) "
        "order by id desc limit :limit",
        {"user_id": user_id, "before": before, "types": list(types), "limit": limit},
    )
