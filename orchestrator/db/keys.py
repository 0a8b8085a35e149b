"""`api_keys`: only hashes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from orchestrator.db.prepared import often
from orchestrator.db.tables import api_keys
from orchestrator.records import ApiKey

_COLUMNS = (
    "id, prefix, user_id, role, name, created_at, expires_at, revoked_at, last_used_at, scopes, "
    "rate_limit"
)
_RESULT = tuple(api_keys.columns[name.strip()] for name in _COLUMNS.split(","))


def insert(
    connection: Connection,
    *,
    key_id: str,
    key_hash: str,
    prefix: str,
    user_id: str,
    role: str,
    name: str | None,
    expires_at: datetime | None,
    scopes: Sequence[str] | None,
    rate_limit: int | None,
) -> ApiKey:
    """Write a new key."""
    row = connection.execute(
        text(
            "insert into api_keys "
            "(id, key_hash, prefix, user_id, role, name, expires_at, scopes, rate_limit) values "
            "(:id, :hash, :prefix, :user_id, :role, :name, :expires_at, :scopes, :rate_limit) "
            f"returning {_COLUMNS}"
        ).columns(*_RESULT),
        {
            "id": key_id,
            "hash": key_hash,
            "prefix": prefix,
            "user_id": user_id,
            "role": role,
            "name": name,
            "expires_at": expires_at,
            "scopes": None if scopes is None else list(scopes),
            "rate_limit": rate_limit,
        },
    ).one()
    return ApiKey(*row)


def valid(connection: Connection, key_hash: str) -> ApiKey | None:
    """The key with this hash, if it counts now."""
    return _valid(connection, "key_hash", key_hash)


def valid_id(connection: Connection, key_id: str) -> ApiKey | None:
    """The key with this id, if it counts now."""
    return _valid(connection, "id", key_id)


def _valid(connection: Connection, column: str, value: str) -> ApiKey | None:
    row = connection.execute(
        text(
            f"select {_COLUMNS} from api_keys where {column} = :value and revoked_at is null "
            "and (expires_at is null or expires_at > now())"
        ).columns(*_RESULT),
        {"value": value},
    ).one_or_none()
    return None if row is None else ApiKey(*row)


_STILL_VALID = often(
    text(
        """
    with valid as (select id, last_used_at from api_keys where id = any(:ids)
      and revoked_at is null and (expires_at is null or expires_at > now())),
    -- Whoever has just locked some of them notes the same.
    unnoted as (select k.id from api_keys k join valid v on v.id = k.id
      where v.last_used_at is null or v.last_used_at < date_trunc('minute', now())
      for update of k skip locked),
    noted as (update api_keys k set last_used_at = date_trunc('minute', now()) from unnoted u
      where k.id = u.id)
    select id from valid
    """
    )
)


def still_valid(connection: Connection, key_ids: Sequence[str]) -> set[str]:
    """Those of these keys that count now. Notes their use: to the minute, so that a busy key costs
    one write a minute.
    """
    return set(connection.scalars(_STILL_VALID, {"ids": list(key_ids)}))


def page(connection: Connection, user_id: str | None) -> list[ApiKey]:
    """The keys of a user (None: of everybody), newest first."""
    rows = connection.execute(
        text(
            f"select {_COLUMNS} from api_keys "
            "where cast(:user_id as text) is null or user_id = :user_id order by created_at "
            "desc, id desc limit 1000"
        ).columns(*_RESULT),
        {"user_id": user_id},
    )
    return [ApiKey(*row) for row in rows]


def revoke(connection: Connection, key_id: str) -> ApiKey | None:
    """Make a key worthless, found by its id or its prefix. None: no such key. A second revocation
    changes nothing.
    """
    row = connection.execute(
        text(
            "update api_keys set revoked_at = coalesce(revoked_at, now()) where id = :id or "
            "prefix = :id "
            f"returning {_COLUMNS}"
        ).columns(*_RESULT),
        {"id": key_id},
    ).one_or_none()
    return None if row is None else ApiKey(*row)
