"""What every request gets: an id, headers that protect, and one line in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from time import perf_counter, time
from typing import cast

import structlog
from flask import Flask, Response, g, request

from api.current import context
from orchestrator.ids import is_video_id, uuid7_hex
from orchestrator.meters import REQUEST_SECONDS, REQUESTS, Meters
from orchestrator.traces import Deed

HEADER = "X-Request-Id"
_ID = re.compile(r"[!-~]{1,128}\Z")
_QUIET = frozenset({"/healthz", "/readyz"})
GUARDS = {
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
    g.request_id = id_of(request.headers.get(HEADER, ""))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def id_of(given: str) -> str:
    """The id of a request: the one that it brings, if that can be one, or a new one."""
    return given if _ID.match(given) else f"req_{uuid7_hex()}"


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
    for name, value in GUARDS.items():
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


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that has its answer. `rule`: of its route, None if it has none; `seconds`: how long
    that took.
    """

    request_id: str
    method: str
    rule: str | None
    status: int
    seconds: float
    user_id: str | None
    video_id: str | None


def note(meters: Meters, answered: Answered) -> None:
    """Count a request, and write its line."""
    rule = answered.rule
    # Whose method is none of HTTP's own has no route either: nobody makes series of their own.
    labels = ("" if rule is None else answered.method, rule or "")
    meters.timed(REQUESTS, REQUEST_SECONDS, answered.seconds, labels, str(answered.status))
    say = log.debug if rule in _QUIET else log.info
    say(
        "request",
        request_id=answered.request_id,
        method=answered.method,
        route=rule,
        status=answered.status,
        ms=round(answered.seconds * 1000, 2),
        user_id=answered.user_id,
        video_id=answered.video_id,
    )


def _end(response: Response) -> Response:
    _guard(response)
    rule = request.url_rule.rule if request.url_rule is not None else None
    status = response.status_code
    seconds = perf_counter() - g.started
    _trace(rule, status, seconds)
    caller = g.get("caller")
    user_id = None if caller is None else caller.user_id
    note(
        context().meters,
        Answered(g.request_id, request.method, rule, status, seconds, user_id, _video_id()),
    )
    return response
