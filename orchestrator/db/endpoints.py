"""`webhook_endpoints`: whom a user wants to be told of what happens, and the secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from orchestrator.db.rows import columns
from orchestrator.db.tables import webhook_endpoints
from orchestrator.records import Endpoint

_ENDPOINT = columns("w", webhook_endpoints)
_RESULT = tuple(webhook_endpoints.columns)
_CHANGEABLE = frozenset({"url", "events", "description"})


def _one(connection: Connection, sql: str, params: Mapping[str, Any]) -> Endpoint | None:
    row = connection.execute(text(sql).columns(*_RESULT), params).one_or_none()
    return None if row is None else Endpoint(*row)


def insert(
    connection: Connection,
    *,
    endpoint_id: str,
    user_id: str,
    url: str,
    events: Sequence[str],
    description: str | None,
    secret: str,
    limit: int,
) -> Endpoint | None:
    """Write a new endpoint. None: the user has `limit` of them already."""
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || :user_id, 0))"),
        {"user_id": user_id},
    )
    return _one(
        connection,
        "insert into webhook_endpoints as w (id, user_id, url, events, description, secret) "
        "select :id, :user_id, :url, :events, :description, :secret where (select count(*) from "
        f"webhook_endpoints where user_id = :user_id and url is not null) < :limit "
        f"returning {_ENDPOINT}",
        {
            "id": endpoint_id,
            "user_id": user_id,
            "url": url,
            "events": list(events),
            "description": description,
            "secret": secret,
            "limit": limit,
        },
    )


def get(connection: Connection, endpoint_id: str) -> Endpoint | None:
    """An endpoint."""
    return _one(
        connection,
        f"select {_ENDPOINT} from webhook_endpoints w where id = :id and url is not null",
        {"id": endpoint_id},
    )


def of_user(connection: Connection, user_id: str) -> list[Endpoint]:
    """The endpoints of a user, oldest first."""
    rows = connection.execute(
        text(
            f"select {_ENDPOINT} from webhook_endpoints w where user_id = :user_id "
            "and url is not null order by created_at, id"
        ).columns(*_RESULT),
        {"user_id": user_id},
    )
    return [Endpoint(*row) for row in rows]


def signer(connection: Connection, user_id: str, *, endpoint_id: str, secret: str) -> Endpoint:
    """The row whose secrets sign what goes to the webhook_url of this user's videos; made with this
    id and secret if there is none.
    """
    connection.execute(
        text(
            "insert into webhook_endpoints (id, user_id, secret) values (:id, :user_id, :secret) "
            "on conflict (user_id) where url is null do nothing"
        ),
        {"id": endpoint_id, "user_id": user_id, "secret": secret},
    )
    row = connection.execute(
        text(
            f"select {_ENDPOINT} from webhook_endpoints w where user_id = :user_id and url is null"
        ).columns(*_RESULT),
        {"user_id": user_id},
    ).one()
    return Endpoint(*row)


def change(
    connection: Connection, endpoint_id: str, values: Mapping[str, Any], *, disabled: bool | None
) -> Endpoint | None:
    """Set these columns. None: it is gone by now.

    disabled: True or False switches it off or on; None leaves it as it is.
    """
    if unknown := values.keys() - _CHANGEABLE:
        raise KeyError(sorted(unknown))
    changes = "".join(f", {name} = :{name}" for name in values)
    if disabled is not None:
        changes += (
            ", disabled_at = coalesce(disabled_at, now()), "
            "disabled_reason = coalesce(disabled_reason, 'by its owner')"
            if disabled
            else ", disabled_at = null, disabled_reason = null"
        )
    return _one(
        connection,
        f"update webhook_endpoints w set updated_at = now() {changes} where id = :id "
        f"returning {_ENDPOINT}",
        {**values, "id": endpoint_id},
    )


def rotate(
    connection: Connection, endpoint_id: str, *, secret: str, overlap: float
) -> Endpoint | None:
    """Sign with a new secret; the present one signs as well for `overlap` seconds."""
    return _one(
        connection,
        "update webhook_endpoints w set previous_secret = w.secret, previous_until = now() + "
        "make_interval(secs => :overlap), secret = :secret, updated_at = now() where id = :id "
        f"returning {_ENDPOINT}",
        {"id": endpoint_id, "secret": secret, "overlap": overlap},
    )


def disable(connection: Connection, endpoint_id: str, reason: str) -> bool:
    """Switch an endpoint off for a reason of ours. False: it is off already."""
    return bool(
        connection.execute(
            text(
                "update webhook_endpoints set disabled_at = now(), disabled_reason = :reason, "
                "updated_at = now() where id = :id and disabled_at is null"
            ),
            {"id": endpoint_id, "reason": reason},
        ).rowcount
    )


def delete(connection: Connection, endpoint_id: str) -> None:
    """Remove an endpoint with its deliveries."""
    connection.execute(
        text("delete from webhook_endpoints where id = :id and url is not null"),
        {"id": endpoint_id},
    )
    connection.execute(text("delete from webhook_targets where target = :id"), {"id": endpoint_id})
