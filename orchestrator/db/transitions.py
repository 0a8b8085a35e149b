"""The one place that writes `videos.status`, and the other changes that an event must tell of.

Every function takes a connection: the caller decides what else belongs to the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Connection, DateTime

from orchestrator.db import outbox, quotas
from orchestrator.db.prepared import often
from orchestrator.db.rows import MINE as MINE
from orchestrator.db.rows import VIDEO, video_query
from orchestrator.db.tables import videos
from orchestrator.lifecycle import FAIL, TERMINAL, EventType, QuotaState, Transition
from orchestrator.records import Video


class After(float):
    """A time to write: so many seconds from now, by the database's clock."""


_SETTABLE = frozenset(column.name for column in videos.columns) - {"id", "status", "seq"}
_MOMENTS = frozenset(c.name for c in videos.columns if isinstance(c.type, DateTime))
_SUMS = frozenset({"cost_actual"})
_SETTLED = dict.fromkeys(
    ("lease_token", "lease_until", "rung_at", "missing_since", "hold_reason"), "null"
) | {"updated_at": "now()", "failures": "0"}
"""Whoever held it, or waited for it, has nothing to do with its next step."""


@dataclass(frozen=True, slots=True)
class Mover:
    """One of several videos that make the same move: what its events say besides from and to, the
    columns in which it differs from the others (times in seconds from now, sums as what is added),
    and the lease that a guard may ask for.
    """

    video_id: str
    data: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None


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
    """Move one video's status, see `transition_all`. None: somebody else was first."""
    moved = transition_all(
        connection,
        [Mover(video_id, data or {})],
        move,
        guard=guard,
        params=params,
        values=values,
        settle=settle,
    )
    return moved[0] if moved else None


def transition_all(
    connection: Connection,
    movers: Sequence[Mover],
    move: Transition,
    *,
    guard: str = "true",
    params: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    settle: QuotaState | None = None,
) -> list[Video]:
    """Move the status of these videos, write the events of the move and settle their quota. What
    is missing in the answer was moved by somebody else before.

    Args:
        movers: all of them set the same columns.
        guard: further condition on the row (`v`) and its mover's token (`e.token`), with `params`.
        values: other columns to set in the same statement, for all alike.
        settle: what becomes of the reservation if it still stands.
    """
    if not movers:
        return []
    bound: dict[str, Any] = {
        "ids": [mover.video_id for mover in movers],
        "datas": [json.dumps(mover.data, default=str) for mover in movers],
        "tokens": [mover.token for mover in movers],
        "target": move.target,
        "sources": sorted(move.sources),
        "types": list(move.events),
        "told": len(move.events),
        "settle": settle,
        **(params or {}),
    }
    assigned = dict(_SETTLED)
    if move.target in TERMINAL:
        assigned |= {"finished_at": "coalesce(v.finished_at, now())", "step": "null"}
        assigned["due_at"] = "null"
    if settle is not None:
        assigned["quota_state"] = (
            "case v.quota_state when 'reserved' then :settle else v.quota_state end"
        )
    assigned |= _assignments(values or {}, bound)
    own = tuple(movers[0].values)
    assigned |= _own_assignments(movers, own, bound)
    changes = "".join(f", {name} = {expression}" for name, expression in assigned.items())
    rows = connection.execute(_statement(guard, changes, own), bound).all()
    moved = [Video(*row[:-2]) for row in rows]
    if wanted := [video.id for video, row in zip(moved, rows, strict=True) if row[-1]]:
        outbox.queue(connection, wanted, last=len(move.events))
    reserved = [row[-2] == QuotaState.RESERVED for row in rows]
    if settle is not None and any(reserved):
        quotas.settle(
            connection, [video for video, held in zip(moved, reserved, strict=True) if held]
        )
    return moved


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


def _own_assignments(
    movers: Sequence[Mover], names: Sequence[str], bound: dict[str, Any]
) -> dict[str, str]:
    """The SET list for what differs from one to the other; binds one array a column."""
    if unknown := set(names) - _SETTABLE:
        raise KeyError(sorted(unknown))
    for name in names:
        bound[f"own_{name}"] = [mover.values[name] for mover in movers]
    return {name: _own_value(name) for name in names}


def _own_value(name: str) -> str:
    if name in _MOMENTS:
        return f"now() + make_interval(secs => e.own_{name})"
    return f"v.{name} + e.own_{name}" if name in _SUMS else f"e.own_{name}"


@cache
def _statement(guard: str, changes: str, own: tuple[str, ...]) -> Any:
    arrays = "".join(f", cast(:own_{name} as {_array_type(name)}[])" for name in own)
    names = "".join(f", own_{name}" for name in own)
    return often(
        video_query(
            f"""
        with e as (select * from unnest(cast(:ids as text[]), cast(:datas as text[]),
          cast(:tokens as text[]){arrays}) as e(id, data, token{names})),
        old as (select id, status, quota_state from videos where id = any(:ids) order by id
          for update),
        moved as (
          update videos v set status = :target, seq = v.seq + :told {changes}
          from old join e on e.id = old.id collate "C"
          where v.id = old.id and old.status = any(:sources) and {guard}
          returning v.*, old.status as old_status, old.quota_state as old_quota_state,
            cast(e.data as jsonb) as data),
        told as (
          insert into video_events (video_id, event_type, event_data, seq, user_id)
          select v.id, t.type, case t.type when 'status_changed'
              then jsonb_build_object('from', v.old_status, 'to', v.status) else v.data end,
            v.seq - :told + t.place, v.user_id
          from moved v, unnest(cast(:types as text[])) with ordinality t(type, place)
          order by v.id, t.place)
        select {VIDEO}, v.old_quota_state, {outbox.WANTED} from moved v
        """
        )
    )


def _array_type(name: str) -> str:
    return "float" if name in _MOMENTS else str(videos.columns[name].type)


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
        quotas.settle(connection, [changed])
    elif changed is not None and settled:
        quotas.charge(connection, changed, cost)
    return changed
