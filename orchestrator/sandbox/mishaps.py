"""Turns a drawn fault into what a client sees of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

from flask import Response, request

from orchestrator.sandbox.errors import RefusedError
from orchestrator.sandbox.faults import Fault
from orchestrator.sandbox.plan import MODERATED
from orchestrator.sandbox.sandbox import Sandbox

HTML = "<!doctype html><title>Sign in</title><h1>502 Bad Gateway</h1><p>Please sign in.</p>"
SLICES_PER_SECOND = 10

BY_STATUS = {
    400: ("Invalid request.", "invalid_request_error", "invalid_value"),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to use this model.", "invalid_request_error", "forbidden"),
    404: ("Not found.", "invalid_request_error", "not_found"),
    409: ("The video cannot be deleted right now.", "invalid_request_error", "conflict"),
    429: ("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded"),
    500: ("The server had an error.", "server_error", "server_error"),
    502: ("Bad gateway.", "server_error", "bad_gateway"),
    503: ("The server is overloaded.", "server_error", "service_unavailable"),
}


def misbehaving(
    sandbox: Sandbox, operation: str, act: Callable[[Fault | None], Response]
) -> Response:
    """Answer a request by `act`, unless a fault strikes it before or after.

    `act` is given the faults that it has to play out itself. Raises RefusedError.
    """
    sandbox.count(operation)
    fault = sandbox.faults.draw(operation)
    if fault is None:
        return act(None)
    if fault.kind == "hang_then_cut":
        sandbox.stopping.wait(fault.number)
        return cut()
    if fault.kind in {"cut", "html"}:
        return cut() if fault.kind == "cut" else html()
    refusal = _refusal(fault)
    if refusal is not None:
        raise refusal
    answer = act(fault)
    if fault.kind == "hang":
        sandbox.stopping.wait(fault.number)
    return _after_acceptance(fault, answer)


def _after_acceptance(fault: Fault, answer: Response) -> Response:
    match fault.kind:
        case "accept_then_cut":
            return cut()
        case "html_after_accept":
            return html()
        case "500_after_accept":
            raise _with_status(500)
        case "no_id":
            body = {name: value for name, value in json.loads(answer.data).items() if name != "id"}
            return Response(json.dumps(body), answer.status_code, mimetype="application/json")
        case _:
            return answer


def _refusal(fault: Fault) -> RefusedError | None:
    """The HTTP error that stands for the fault, if it is one."""
    match fault.kind:
        case "quota":
            message = "You exceeded your current quota, please check your plan and billing details."
            return RefusedError(429, message, type="insufficient_quota", code="insufficient_quota")
        case "no_model":
            return RefusedError(
                404, "The model does not exist.", param="model", code="model_not_found"
            )
        case "moderation":
            return RefusedError(400, MODERATED, param="prompt", code="moderation_blocked")
        case "429_retry_after" | "503_retry_after":
            return _with_status(int(fault.kind[:3]), {"Retry-After": fault.value})
        case _:
            return _with_status(int(fault.kind)) if fault.kind.isdecimal() else None


def _with_status(status: int, headers: dict[str, str] | None = None) -> RefusedError:
    message, kind, code = BY_STATUS[status]
    return RefusedError(status, message, type=kind, code=code, headers=headers)


def html() -> Response:
    """What a proxy's login page looks like: 200, and no JSON at all."""
    return Response(HTML, mimetype="text/html")


def cut() -> Response:
    """Close the connection without an answer; the response that is returned goes nowhere."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response(status=500)


def truncated(data: bytes, mime: str) -> Response:
    """Half of the bytes under the announced length of all, then a closed connection."""
    connection = request.environ["werkzeug.socket"]

    def half() -> Iterator[bytes]:
        yield data[: len(data) // 2]
        connection.shutdown(socket.SHUT_RDWR)

    return _streamed(half(), mime, len(data))


def slow(data: bytes, mime: str, bytes_per_second: float, sandbox: Sandbox) -> Response:
    """All of the bytes, a slice at a time."""
    size = max(1, int(bytes_per_second / SLICES_PER_SECOND))

    def slices() -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]
            if sandbox.stopping.wait(1 / SLICES_PER_SECOND):
                return

    return _streamed(slices(), mime, len(data))


def _streamed(chunks: Iterator[bytes], mime: str, length: int) -> Response:
    answer = Response(chunks, mimetype=mime)
    answer.headers["Content-Length"] = str(length)
    return answer
