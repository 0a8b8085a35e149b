"""`deliveries`: outgoing messages on their way, one claim and one record at a time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.rows import columns
from orchestrator.db.tables import deliveries
from orchestrator.records import Delivery

_DELIVERY = columns("d", deliveries)
_RESULT = tuple(deliveries.columns)


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


def give_up(connection: Connection, endpoint_id: str, reason: str) -> int:
    """Fail what waits for an endpoint that is no longer told anything. Returns how many."""
    return connection.execute(
        text(
            "update deliveries set state = 'failed', due_at = null, lease_token = null, "
            "lease_until = null, error = :reason where endpoint_id = :id and state = 'pending'"
        ),
        {"id": endpoint_id, "reason": reason},
    ).rowcount


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
