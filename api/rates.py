"""How often a key may ask: off unless RATE_LIMIT_RPM or the key says so.

The headers are those of the IETF draft "RateLimit header fields for HTTP".
"""

from __future__ import annotations

import math

from flask import Flask, Response, g

from orchestrator.context import Context
from orchestrator.errors import RateLimited
from orchestrator.limits import Taken
from orchestrator.records import Caller

_WINDOW_SECONDS = 60


def install(app: Flask) -> None:
    """Tell with every answer to a request that counted how many may follow."""
    app.after_request(_told)


def count(ctx: Context, caller: Caller) -> None:
    """Count this request of a caller.

    Raises:
        RateLimited: there were too many.
    """
    limit = _limit(ctx, caller)
    if limit is None:
        return
    taken = ctx.limits.take(caller.api_key_id or f"user:{caller.user_id}", limit)
    g.taken = taken
    if not taken.allowed:
        raise RateLimited(
            f"Too many requests: {limit} a minute are allowed.", retry_after=taken.retry_after
        )


def limited(ctx: Context, caller: Caller) -> bool:
    """Whether the requests of this caller are counted."""
    return _limit(ctx, caller) is not None


def _limit(ctx: Context, caller: Caller) -> int | None:
    return caller.rate_limit or ctx.settings.rate_limit_rpm


def _told(response: Response) -> Response:
    taken: Taken | None = g.get("taken")
    if taken is not None:
        response.headers["RateLimit-Policy"] = f'"minute";q={taken.limit};w={_WINDOW_SECONDS}'
        seconds = math.ceil(taken.full_after)
        response.headers["RateLimit"] = f'"minute";r={taken.remaining};t={seconds}'
    return response
