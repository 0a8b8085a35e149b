"""The header Idempotency-Key."""

from __future__ import annotations

import re

from flask import request

from orchestrator.errors import InvalidRequest
from orchestrator.wishes import IdempotencyKey

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}\Z")


def key() -> IdempotencyKey | None:
    """The key of this request in the scope of its route; an id in the path is part of that.

    Raises:
        InvalidRequest: it is empty, too long or not visible ASCII.
    """
    given = request.headers.get(HEADER)
    return None if given is None else read(given, f"{request.method} {request.path}")


def read(given: str, route: str) -> IdempotencyKey:
    """The key in this header of a request to a route; raises as `key` does."""
    value = given.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not _KEY.match(value):
        raise InvalidRequest(
            f"{HEADER} must be 1 to 255 visible ASCII characters.",
            param=HEADER,
            code="invalid_idempotency_key",
        )
    return IdempotencyKey(value, route)
