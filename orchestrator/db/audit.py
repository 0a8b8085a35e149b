"""`audit_log`: what was done with the rights of an admin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db.tables import audit_log
from orchestrator.records import Act, Caller


class Action(StrEnum):
    """What admins do, and what the orchestrator decides over its users."""

    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    QUOTA_CHANGED = "quota.changed"
    QUOTA_RESET = "quota.reset"
    PROVIDER_PAUSED = "provider.paused"
    PROVIDER_RESUMED = "provider.resumed"
    VIDEO_RESOLVED = "video.resolved"
    VIDEO_CANCELLED = "video.cancelled"
    VIDEO_DELETED = "video.deleted"
    VIDEO_ARCHIVED = "video.archived"
    VIDEOS_RETRIED = "videos.retried"
    ENDPOINT_CHANGED = "endpoint.changed"
    ENDPOINT_ROTATED = "endpoint.rotated"
    ENDPOINT_REMOVED = "endpoint.removed"
    ENDPOINT_DISABLED = "endpoint.disabled"
    WEBHOOKS_SENT = "webhooks.sent"
    USER_ERASED = "user.erased"
    CACHE_CLEARED = "cache.cleared"


def write(
    connection: Connection,
    by: Caller | None,
    action: Action,
    subject: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Note an act. `by` None: somebody at the command line, or the orchestrator itself. `data` must
    be plain JSON.
    """
    connection.execute(
        text(
            "insert into audit_log (user_id, api_key_id, request_id, action, subject, data) "
            "values (:user_id, :api_key_id, :request_id, :action, :subject, "
            "cast(:data as jsonb))"
        ),
        {
            "user_id": None if by is None else by.user_id,
            "api_key_id": None if by is None else by.api_key_id,
            "request_id": None if by is None else by.request_id,
            "action": action,
            "subject": subject,
            "data": json.dumps(data or {}, default=str),
        },
    )


def prune(connection: Connection, *, days: float, limit: int) -> int:
    """Drop the oldest acts, of those that are older than that. Returns how many."""
    # In the order of their ids, which is that of time but for what was written at the same moment.
    return connection.execute(
        text(
            "delete from audit_log where id in (select id from audit_log order by id limit :limit) "
            "and created_at < now() - make_interval(secs => :age)"
        ),
        {"age": days * 86_400, "limit": limit},
    ).rowcount


def page(
    connection: Connection, filters: Mapping[str, Any], *, before: int | None, limit: int
) -> list[Act]:
    """Acts, newest first, older than the one with the id `before`. `filters`: user_id, action,
    subject.
    """
    wanted = {name: value for name, value in filters.items() if value is not None}
    guards = ["(cast(:before as bigint) is null or id < :before)"]
    guards += [f"{audit_log.columns[name].name} = :{name}" for name in wanted]
    names = ", ".join(column.name for column in audit_log.columns)
    rows = connection.execute(
        text(
            f"select {names} from audit_log where {' and '.join(guards)} order by id desc "
            "limit :limit"
        ).columns(*audit_log.columns),
        {**wanted, "before": before, "limit": limit},
    )
    return [Act(*row) for row in rows]
