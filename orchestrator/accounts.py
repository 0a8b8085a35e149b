"""Who asks: API keys and roles. Only a hash of a key is kept, so a stolen database opens
nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from threading import Lock

from orchestrator.context import Context
from orchestrator.db import audit, keys
from orchestrator.db.audit import Action
from orchestrator.db.engine import Connection
from orchestrator.errors import InvalidRequest, NotFound, Unauthenticated
from orchestrator.ids import uuid7_hex
from orchestrator.records import ApiKey, Caller

ROLES = ("user", "admin")
SCOPES: Mapping[str, tuple[str, ...]] = {
    "user": ("read", "write"),
    "admin": ("read", "write", "admin"),
}
"""What a key of each role can be for: to look, to ask for and change, to use the admin's rights."""
MAX_RATE = 1_000_000
_KEY_PREFIX = "vo_"
_MEMORY_SECONDS = 1.0
_AHEAD_SECONDS = 0.25
_KEPT_SECONDS = 10.0
_MEMORY_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: `secret` is shown this once."""

    key: ApiKey
    secret: str


def create_key(
    ctx: Context,
    user_id: str,
    *,
    role: str = "user",
    name: str | None = None,
    expires_at: datetime | None = None,
    scopes: Sequence[str] | None = None,
    rate_limit: int | None = None,
    by: Caller | None = None,
) -> NewKey:
    """A new API key for a user.

    Args:
        scopes: some of those of the role (`SCOPES`); None: all of them.
        rate_limit: requests a minute; None: RATE_LIMIT_RPM.
        by: who asks for it; None: somebody at the command line.
    Raises:
        InvalidRequest: the user id, the role, a scope or the rate limit cannot be.
    """
    check_user_id(user_id)
    if role not in ROLES:
        raise InvalidRequest(f"role must be one of {', '.join(ROLES)}.", param="role")
    if scopes is not None and (not scopes or not set(scopes) <= set(SCOPES[role])):
        allowed = ", ".join(SCOPES[role])
        raise InvalidRequest(f"scopes of the role {role} are {allowed}.", param="scopes")
    if rate_limit is not None and not 1 <= rate_limit <= MAX_RATE:
        raise InvalidRequest(f"rate_limit must be from 1 to {MAX_RATE}.", param="rate_limit")
    secret = _KEY_PREFIX + secrets.token_urlsafe(32)
    with ctx.database.transaction() as connection:
        key = keys.insert(
            connection,
            key_id=f"key_{uuid7_hex()}",
            key_hash=_hash(secret),
            prefix=secret[:10],
            user_id=user_id,
            role=role,
            name=name,
            expires_at=expires_at,
            scopes=None if scopes is None else sorted(set(scopes), key=SCOPES[role].index),
            rate_limit=rate_limit,
        )
        data = {"user_id": user_id, "role": role}
        audit.write(connection, by, Action.KEY_CREATED, key.id, data)
    return NewKey(key, secret)


def list_keys(ctx: Context, user_id: str | None = None) -> list[ApiKey]:
    """The keys of a user, or of everybody, newest first."""
    with ctx.database.statement() as connection:
        return keys.page(connection, user_id)


def revoke_key(ctx: Context, key_id: str, *, by: Caller | None = None) -> ApiKey:
    """Make a key worthless, within a second everywhere. `key_id` is its id or its prefix, `by` who
    asks for it; None: somebody at the command line.

    Raises:
        NotFound: there is no such key.
    """
    with ctx.database.transaction() as connection:
        key = keys.revoke(connection, key_id)
        if key is None:
            raise NotFound("There is no such key.")
        audit.write(connection, by, Action.KEY_REVOKED, key.id, {"user_id": key.user_id})
    return key


def check_user_id(user_id: str) -> str:
    """The id, if it can be one: 1 to 255 printable characters.

    Raises:
        InvalidRequest: it cannot.
    """
    if not 1 <= len(user_id) <= 255 or not user_id.isprintable() or user_id != user_id.strip():
        raise InvalidRequest("user id must be 1 to 255 printable characters.", param="user_id")
    return user_id


class Authenticator:
    """Turns a bearer token into a caller, and remembers it for a second: a revoked key dies that
    soon. Then all keys that are in use are looked at together, so that a hundred busy users cost
    one query a second.
    """

    def __init__(self, ctx: Context, *, monotonic: Callable[[], float] = time.monotonic):
        self._ctx = ctx
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._looked_for = 0.0
        self._lock = Lock()

    def caller(self, token: str) -> Caller:
        """The caller with this token.

        Raises:
            Unauthenticated: the token is no key, or one that was revoked or has expired.
        """
        hashed = _hash(token)
        return self._found(hashed, lambda connection: keys.valid(connection, hashed))

    def known(self, token: str) -> Caller | None:
        """The caller with this token, if nothing needs to be looked up for that. Shortly before
        that is so for all, one is sent to look, so that the others need not.
        """
        known = self._known.get(_hash(token))
        now = self._monotonic()
        if known is None or known.until <= now:
            return None
        if known.until <= now + _AHEAD_SECONDS and known.until != self._looked_for:
            self._looked_for = known.until
            return None
        known.used_at = now
        return known.caller

    def caller_of(self, key_id: str) -> Caller:
        """The caller whose key has this id; only for who has shown to have had the key.

        Raises:
            Unauthenticated: the key was revoked or has expired.
        """
        return self._found(key_id, lambda connection: keys.valid_id(connection, key_id))

    def _found(self, name: str, find: Callable[[Connection], ApiKey | None]) -> Caller:
        now = self._monotonic()
        known = self._known.get(name)
        if known is not None and known.until <= now + _AHEAD_SECONDS:
            self._look_again(name, now)
            known = self._known.get(name)
        if known is None:
            known = self._look_up(name, now, find)
        known.used_at = now
        return known.caller

    def _look_up(
        self, name: str, now: float, find: Callable[[Connection], ApiKey | None]
    ) -> _Known:
        with self._ctx.database.statement() as connection:
            key = find(connection)
            if key is not None:
                keys.still_valid(connection, [key.id])
        if key is None:
            raise Unauthenticated("This API key is not valid: unknown, expired or revoked.")
        known = _Known(key.id, _caller(key), now + _MEMORY_SECONDS, now)
        with self._lock:
            if len(self._known) >= _MEMORY_SIZE:
                self._known.clear()
            self._known[name] = known
        return known

    def _look_again(self, name: str, now: float) -> None:
        """Forget whoever's key counts no longer, or has not come for some seconds."""
        with self._lock:
            known = self._known.get(name)
            if known is None or known.until > now + _AHEAD_SECONDS:
                return  # another thread has just looked
            used = {
                name: one
                for name, one in self._known.items()
                if one is known or one.used_at > now - _KEPT_SECONDS
            }
            with self._ctx.database.statement() as connection:
                valid = keys.still_valid(connection, [one.key_id for one in used.values()])
            self._known = {
                name: _Known(one.key_id, one.caller, now + _MEMORY_SECONDS, one.used_at)
                for name, one in used.items()
                if one.key_id in valid
            }


@dataclass(slots=True)
class _Known:
    """Whose key it is, until when that is believed, and when it came last."""

    key_id: str
    caller: Caller
    until: float
    used_at: float


def _caller(key: ApiKey) -> Caller:
    """Without the scope `admin` an admin's key is a user's."""
    scopes = None if key.scopes is None else frozenset(key.scopes)
    role = key.role if scopes is None or key.role in scopes else "user"
    return Caller(key.user_id, role, key.id, scopes=scopes, rate_limit=key.rate_limit)


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
