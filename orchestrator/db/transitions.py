"""The one place that writes `videos.status`, and the other changes that an event must tell of.

Every function takes a connection: the caller decides what else belongs to the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from orchestrator.db import outbox, quotas
from orchestrator.db.rows import MINE as MINE
from orchestrator.db.rows import VIDEO, video_query
from orchestrator.db.tables import videos
from orchestrator.lifecycle import FAIL, TERMINAL, EventType, QuotaState, Transition
from orchestrator.records import Video


class After(float):
    """A time to write: so many seconds from now, by the database's clock."""


_SETTABLE = frozenset(column.name for column in videos.columns) - {"id", "status", "seq"}


def transition(
    connection: Connection,
    video_id: str,
    move: Transition,
    *,
    guard: str = "true",
    params: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    settle: QuotaState | None = None,
) -> Video | None:
    """Move a video's status, write the events of the move and settle its quota. None: somebody else
    was first.

    Args:
        guard: further condition on the row (`v`), with `params`.
        values: other columns to set in the same statement.
        data: what the events say besides from and to.
        settle: what becomes of the reservation if it still stands.
    """
    ending = move.target in TERMINAL
    assigned = (
        {"finished_at": "coalesce(v.finished_at, now())", "step": "null", "due_at": "null"}
        if ending
        else {}
    )
    if settle is not None:
        assigned["quota_state"] = (
            "case v.quota_state when 'reserved' then :settle else v.quota_state end"
        )
    bound = {
        "id": video_id,
        "target": move.target,
        "sources": sorted(move.sources),
        "types": list(move.events),
        "told": len(move.events),
        "data": json.dumps(data or {}, default=str),
        "settle": settle,
        **(params or {}),
    }
    assigned |= _assignments(values or {}, bound)
    changes = "".join(f", {name} = {expression}" for name, expression in assigned.items())
    row = connection.execute(_statement(guard, changes), bound).one_or_none()
    if row is None:
        return None
    *columns, old_quota_state, wanted = row
    video = Video(*columns)
    if wanted:
        outbox.queue(connection, [video.id], last=len(move.events))
    if (
        settle is not None
        and old_quota_state == QuotaState.RESERVED
        and video.quota_state == settle
    ):
        quotas.settle(connection, video)
    return video


def _assignments(values: Mapping[str, Any], bound: dict[str, Any]) -> dict[str, str]:
    """The SET list for these values; binds them."""
    if unknown := values.keys() - _SETTABLE:
        raise KeyError(sorted(unknown))
    expressions = {}
    for name, value in values.items():
        bound[f"set_{name}"] = value
        moment = isinstance(value, After)
        expressions[name] = (
            f"now() + make_interval(secs => :set_{name})" if moment else f":set_{name}"
        )
    return expressions


def _statement(guard: str, changes: str) -> Any:
    return video_query(
        f"""
        with old as (select id, status, quota_state from videos where id = :id for update),
        moved as (
          update videos v set status = :target, seq = v.seq + :told, updated_at = now(),
            lease_token = null,
            lease_until = null, rung_at = null, failures = 0, missing_since = null, hold_reason =
            null {changes}
          from old where v.id = old.id and old.status = any(:sources) and {guard}
          returning v.*, old.status as old_status, old.quota_state as old_quota_state),
        told as (
          insert into video_events (video_id, event_type, event_data, seq, user_id)
          select v.id, t.type, case t.type when 'status_changed'
              then jsonb_build_object('from', v.old_status, 'to', v.status) else cast(:data as
              jsonb) end,
            v.seq - :told + t.place, v.user_id
          from moved v, unnest(cast(:types as text[])) with ordinality t(type, place))
        select {VIDEO}, v.old_quota_state, {outbox.WANTED} from moved v
        """
    )


def fail(
    connection: Connection,
    video_id: str,
    *,
    code: str,
    message: str,
    guard: str = "true",
    token: str = "",
) -> Video | None:
    """Fail a video for a reason that users may read; its place in the quota is given back."""
    return transition(
        connection,
        video_id,
        FAIL,
        guard=guard,
        params={"token": token} if ":token" in guard else None,
        values={"error_code": code, "error_message": message},
        data={"code": code, "message": message},
        settle=QuotaState.RELEASED,
    )


def record(
    connection: Connection,
    video_id: str,
    event: EventType,
    *,
    guard: str = "true",
    params: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Video | None:
    """Change columns other than the status and tell of it with one event. None: the guard did not
    hold.
    """
    bound: dict[str, Any] = {
        "id": video_id,
        "event": event,
        "data": json.dumps(data or {}, default=str),
        **(params or {}),
    }
    changes = "".join(
        f", {name} = {expression}" for name, expression in _assignments(values or {}, bound).items()
    )
    row = connection.execute(
        video_query(
            f"""
            with v as (update videos v set seq = v.seq + 1, updated_at = now() {changes}
                       where v.id = :id and {guard} returning v.*),
            told as (insert into video_events (video_id, event_type, event_data, seq, user_id)
                     select v.id, :event, cast(:data as jsonb), v.seq, v.user_id from v)
            select {VIDEO}, {outbox.WANTED} from v
            """
        ),
        bound,
    ).one_or_none()
    if row is None:
        return None
    *columns, wanted = row
    if wanted:
        outbox.queue(connection, [video_id], last=1)
    return Video(*columns)


def charge(connection: Connection, video: Video, *, cost: Decimal, kept: bool) -> Video | None:
    """Book what an attempt came to whose video has gone its own way, and settle a reservation that
    waited for that.

    Args:
        video: its row, locked.
        kept: the provider finished it, so a reservation that still stands counts; else it is
        released.
    Returns:
        The changed video; None if there was nothing to book.
    """
    settled = video.quota_state != QuotaState.RESERVED
    waits = not settled and video.status in TERMINAL
    if not waits and not cost:
        return None
    state = (
        (QuotaState.KEPT if kept else QuotaState.RELEASED)
        if waits
        else QuotaState(video.quota_state)
    )
    changed = record(
        connection,
        video.id,
        EventType.CHARGED,
        values={"cost_actual": video.cost_actual + cost, "quota_state": state},
        data={"cost": str(cost), "quota_state": state},
    )
    if changed is not None and waits:
        quotas.settle(connection, changed)
    elif changed is not None and settled:
        quotas.charge(connection, changed, cost)
    return changed
