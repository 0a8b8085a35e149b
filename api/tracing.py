"""What every request gets: an id, headers that protect, and one line in the log."""

from __future__ import annotations

import re
from time import perf_counter, time
from typing import cast

import structlog
from flask import Flask, Response, g, request

from api.current import context
from orchestrator.ids import is_video_id, uuid7_hex
from orchestrator.meters import REQUEST_SECONDS, REQUESTS
from orchestrator.traces import Deed

HEADER = "X-Request-Id"
_ID = re.compile(r"[!-~]{1,128}\Z")
_QUIET = frozenset({"/healthz", "/readyz"})
_GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = structlog.get_logger("api")


def install(app: Flask) -> None:
    """Begin and end every request of this application."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started = perf_counter()
    given = request.headers.get(HEADER, "")
    g.request_id = given if _ID.match(given) else f"req_{uuid7_hex()}"
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _video_id() -> str | None:
    """The id of the video that was made, or of the one in the address, if it can be one: of what
    else may stand there, however long, the log keeps nothing.
    """
    if "made" in g:
        return cast(str, g.made)
    named = (request.view_args or {}).get("video_id")
    return named if isinstance(named, str) and is_video_id(named) else None


def _guard(response: Response) -> None:
    """Add what a view has not set itself. To ask the headers for each takes four times as long."""
    headers = response.headers
    there = {name.lower() for name in headers.keys()}  # noqa: SIM118 - iterating gives pairs
    headers.add(HEADER, g.request_id)
    for name, value in _GUARDS.items():
        if name.lower() not in there:
            headers.add(name, value)


def _trace(rule: str | None, status: int, seconds: float) -> None:
    """Begin the trace of the video that this request has made."""
    traces = context().traces
    if traces.on and "made" in g and not g.replayed:
        ended = time()
        about = {
            "http.request.method": request.method,
            "http.route": rule or "",
            "http.response.status_code": status,
            "request_id": g.request_id,
        }
        deed = Deed(f"{request.method} {rule}", ended - seconds, ended, about)
        traces.root(g.made, deed, parent=request.headers.get("traceparent", ""))


def _end(response: Response) -> Response:
    _guard(response)
    seconds = perf_counter() - g.started
    rule = request.url_rule.rule if request.url_rule is not None else None
    _trace(rule, response.status_code, seconds)
    # Whose method is none of HTTP's own has no route either: nobody makes series of their own.
    labels = ("" if rule is None else request.method, rule or "")
    context().meters.timed(REQUESTS, REQUEST_SECONDS, seconds, labels, str(response.status_code))
    say = log.debug if rule in _QUIET else log.info
    caller = g.get("caller")
    say(
        "request",
        method=request.method,
        route=rule,
        status=response.status_code,
        ms=round(seconds * 1000, 2),
        user_id=None if caller is None else caller.user_id,
        video_id=_video_id(),
    )
    return response
