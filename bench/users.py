"""Who asks in a measurement: users with API keys, and quotas that never end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import psycopg2
from psycopg2.extras import execute_values

_ENOUGH = 2_000_000_000


@dataclass(frozen=True, slots=True)
class User:
    """A user and the key that the server knows."""

    id: str
    key: str

    @property
    def headers(self) -> Mapping[str, str]:
        """What shows who asks."""
        return {"Authorization": f"Bearer {self.key}"}


def enrol(database_url: str, number: int, *, prefix: str = "user") -> Sequence[User]:
    """So many users, written to the database: a key and a quota each."""
    users = [User(f"{prefix}-{n}", f"vo_{secrets.token_urlsafe(32)}") for n in range(number)]
    connection = psycopg2.connect(database_url)
    try:
        with connection, connection.cursor() as cursor:
            execute_values(
                cursor,
                "insert into user_quotas (user_id, videos_limit, reset_at) values %s",
                [(user.id, _ENOUGH) for user in users],
                template="(%s, %s, now() + interval '1 year')",
            )
            execute_values(
                cursor,
                "insert into api_keys (id, key_hash, prefix, user_id) values %s",
                [
                    (
                        f"key_{user.id}",
                        sha256(user.key.encode()).hexdigest(),
                        user.key[:10],
                        user.id,
                    )
                    for user in users
                ],
            )
    finally:
        connection.close()
    return users


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()
