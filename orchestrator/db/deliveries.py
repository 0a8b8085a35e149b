"""`deliveries` and `webhook_targets`: the outgoing messages, and what we know of receivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db import outbox
from orchestrator.db.rows import columns
from orchestrator.db.tables import deliveries
from orchestrator.records import Delivery

_DELIVERY = columns("d", deliveries)
_RESULT = tuple(deliveries.columns)


def ring_due(connection: Connection, *, again: float, limit: int) -> list[str]:
    """Mark the receivers for whom something is due as rung, and return them.

    Found by a skip scan: a backlog of one receiver costs the others nothing.
    """
    rows = connection.execute(
        text(
            """
            with recursive t as (
              (select target from deliveries where state = 'pending' order by target limit 1)
              union all
              select (select d.target from deliveries d where d.state = 'pending'
                        and d.target > t.target order by d.target limit 1)
              from t where t.target is not null),
            due as (
              select t.target from t
              cross join lateral (select d.due_at from deliveries d where d.state = 'pending'
                and d.target = t.target and d.due_at <= now()
                and (d.lease_until is null or d.lease_until < now())
                order by d.due_at limit 1) n
              left join webhook_targets w on w.target = t.target
              where t.target is not null
                and (w.blocked_until is null or w.blocked_until <= now())
                and (w.rung_at is null or w.rung_at < n.due_at
                  or w.rung_at < now() - make_interval(secs => :again))
              order by t.target limit :limit)
            insert into webhook_targets (target, rung_at) select target, now() from due
            on conflict (target) do update set rung_at = now()
            returning target
            """
        ),
        {"again": again, "limit": limit},
    )
    return list(rows.scalars())


def claim(
    connection: Connection,
    target: str,
    *,
    token: str,
    lease: float,
    at_once: int,
    of_user: int,
) -> Delivery | None:
    """Take the receiver's next due message. None: there is none, or as many are on their way as may
    be.

    at_once: how many may be on their way to one receiver; one that has just failed gets one.
    of_user: the same for all receivers of a user.
    """
    # Locks the receiver: who comes next counts what we take.
    known = connection.execute(
        text(
            "insert into webhook_targets (target) values (:target) on conflict (target) do update "
            "set target = excluded.target returning failures, blocked_until > now()"
        ),
        {"target": target},
    ).one()
    if known[1]:
        return None
    row = connection.execute(
        text(
            f"""
            with c as (
              select id, user_id from deliveries where target = :target and state = 'pending'
                and due_at <= now() and (lease_until is null or lease_until < now())
              order by due_at, id limit 1 for update skip locked),
            d as (
              update deliveries u set lease_token = :token,
                lease_until = now() + make_interval(secs => :lease)
              from c where u.id = c.id
                and (select count(*) from deliveries o where o.lease_token is not null
                  and o.lease_until > now() and o.target = :target) < :at_once
                and (select count(*) from deliveries o where o.lease_token is not null
                  and o.lease_until > now() and o.user_id = c.user_id) < :of_user
              returning u.*),
            heard as (update webhook_targets w set rung_at = null from d where w.target = d.target)
            select {_DELIVERY} from d
            """
        ).columns(*_RESULT),
        {
            "target": target,
            "token": token,
            "lease": lease,
            "at_once": 1 if known[0] else at_once,
            "of_user": of_user,
        },
    ).one_or_none()
    return None if row is None else Delivery(*row)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt at a delivery: what the receiver said, or why it said nothing."""

    status_code: int | None
    response: str
    error: str | None


def succeeded(connection: Connection, delivery: Delivery, tried: Tried, *, token: str) -> bool:
    """The receiver has it, and is well again. False: the lease was lost; it may get it twice."""
    connection.execute(
        text(
            "update webhook_targets set failures = 0, failing_since = null, blocked_until = null "
            "where target = :target and failures > 0"
        ),
        {"target": delivery.target},
    )
    return _record(connection, delivery, tried, token=token, state="delivered", due_in=None)


def failed(
    connection: Connection,
    delivery: Delivery,
    tried: Tried,
    *,
    token: str,
    due_in: float | None,
) -> bool:
    """The receiver has it not: again in `due_in` seconds, or (None) never. False: the lease was
    lost.
    """
    state = "failed" if due_in is None else "pending"
    return _record(connection, delivery, tried, token=token, state=state, due_in=due_in)


def _record(
    connection: Connection,
    delivery: Delivery,
    tried: Tried,
    *,
    token: str,
    state: str,
    due_in: float | None,
) -> bool:
    return bool(
        connection.execute(
            text(
                """
                update deliveries set state = :state, attempts = attempts + 1,
                  last_attempt_at = now(), status_code = :status_code, response = :response,
                  error = :error, lease_token = null, lease_until = null,
                  due_at = now() + make_interval(secs => cast(:due_in as float)),
                  delivered_at = case :state when 'delivered' then now() end
                where id = :id and lease_token = :token and state = 'pending'
                """
            ),
            {
                "id": delivery.id,
                "token": token,
                "state": state,
                "due_in": due_in,
                "status_code": tried.status_code,
                "response": tried.response,
                "error": tried.error,
            },
        ).rowcount
    )


def blame(connection: Connection, target: str) -> tuple[int, float]:
    """Count a failure of a receiver. Returns how many there were in a row, and for how many seconds
    it has been failing.
    """
    row = connection.execute(
        text(
            "update webhook_targets set failures = failures + 1, failing_since = "
            "coalesce(failing_since, now()) where target = :target "
            "returning failures, extract(epoch from now() - failing_since)"
        ),
        {"target": target},
    ).one_or_none()
    return (1, 0.0) if row is None else (int(row[0]), float(row[1]))


def block(connection: Connection, target: str, *, seconds: float) -> None:
    """Leave a receiver alone for a while."""
    connection.execute(
        text(
            "update webhook_targets set blocked_until = now() + make_interval(secs => :seconds) "
            "where target = :target"
        ),
        {"target": target, "seconds": seconds},
    )


def give_up(connection: Connection, endpoint_id: str, reason: str) -> int:
    """Fail what waits for an endpoint that is no longer told anything. Returns how many."""
    return connection.execute(
        text(
            "update deliveries set state = 'failed', due_at = null, lease_token = null, "
            "lease_until = null, error = :reason where endpoint_id = :id and state = 'pending'"
        ),
        {"id": endpoint_id, "reason": reason},
    ).rowcount


def failing(connection: Connection, targets: Sequence[str]) -> dict[str, datetime]:
    """Since when each of these receivers has been failing, if it does."""
    rows = connection.execute(
        text(
            "select target, failing_since from webhook_targets where target = any(:targets) "
            "and failing_since is not null"
        ),
        {"targets": list(targets)},
    )
    return {row[0]: row[1] for row in rows}


def forgive(connection: Connection, target: str) -> None:
    """Forget the failures of a receiver: its owner says that it is back."""
    connection.execute(
        text("delete from webhook_targets where target = :target"), {"target": target}
    )


def ping(connection: Connection, *, endpoint_id: str, user_id: str, message_id: str) -> Delivery:
    """Queue a message that tells of nothing."""
    row = connection.execute(
        text(
            "insert into deliveries as d (message_id, endpoint_id, target, user_id, type, data) "
            "values (:message_id, :endpoint_id, :endpoint_id, :user_id, 'endpoint.ping', "
            f"jsonb_build_object('id', cast(:endpoint_id as text))) returning {_DELIVERY}"
        ).columns(*_RESULT),
        {"message_id": message_id, "endpoint_id": endpoint_id, "user_id": user_id},
    ).one()
    return Delivery(*row)


def get(connection: Connection, delivery_id: int) -> Delivery | None:
    """One delivery."""
    row = connection.execute(
        text(f"select {_DELIVERY} from deliveries d where id = :id").columns(*_RESULT),
        {"id": delivery_id},
    ).one_or_none()
    return None if row is None else Delivery(*row)


def page(
    connection: Connection,
    user_id: str,
    filters: Mapping[str, Any],
    *,
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Deliveries of a user, newest first, before the one with the id `before`; `filters` by column
    (endpoint_id, video_id, state, type).
    """
    conditions = "".join(f" and d.{name} = :{name}" for name in sorted(filters))
    rows = connection.execute(
        text(
            f"select {_DELIVERY} from deliveries d where d.user_id = :user_id "
            f"and (cast(:before as bigint) is null or d.id < :before) {conditions} "
            "order by d.id desc limit :limit"
        ).columns(*_RESULT),
        {**filters, "user_id": user_id, "before": before, "limit": limit},
    )
    return [Delivery(*row) for row in rows]


def resend(connection: Connection, delivery_id: int) -> Delivery | None:
    """Let a delivery start over, with the same webhook-id. None: it is on its way just now."""
    row = connection.execute(
        text(
            "update deliveries d set state = 'pending', attempts = 0, due_at = now(), "
            "delivered_at = null where id = :id and (lease_until is null or lease_until < now()) "
            f"returning {_DELIVERY}"
        ).columns(*_RESULT),
        {"id": delivery_id},
    ).one_or_none()
    return None if row is None else Delivery(*row)


def replay(
    connection: Connection,
    *,
    endpoint_id: str,
    user_id: str,
    since: datetime,
    until: datetime,
    limit: int,
) -> int | None:
    """Tell an endpoint (again) of what happened from `since` to before `until`, as far as it wants
    to know. Returns how many messages wait now; None: there are more than `limit` events.
    """
    event_ids = list(
        connection.execute(
            text(
                "select id from video_events where user_id = :user_id and seq is not null "
                "and created_at >= :since and created_at < :until order by id limit :limit"
            ),
            {"user_id": user_id, "since": since, "until": until, "limit": limit + 1},
        ).scalars()
    )
    return None if len(event_ids) > limit else outbox.repeat(connection, endpoint_id, event_ids)


def prune(connection: Connection, *, days: float, limit: int) -> int:
    """Drop old deliveries that wait for nothing. Returns how many."""
    return connection.execute(
        text(
            "delete from deliveries where id in (select id from deliveries where created_at < "
            "now() - make_interval(secs => :age) and state <> 'pending' order by created_at "
            "limit :limit)"
        ),
        {"age": days * 86_400, "limit": limit},
    ).rowcount
