"""What an error is to a client: its HTTP status and a problem document (RFC 9457).

The member `error` in it is what the openai SDK reads; below `/v1` it is the whole answer, as there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from flask import Flask, Response, request
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from api.current import request_id
from orchestrator import errors
from orchestrator.errors import OrchestratorError

MEDIA_TYPE = "application/problem+json"
FACADE = "/v1/"

STATUSES: Mapping[type[OrchestratorError], int] = {
    errors.InvalidRequest: 400,
    errors.Unsupported: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.IdempotencyKeyReused: 422,
    errors.QuotaExceeded: 429,
    errors.RateLimited: 429,
    errors.StorageError: 503,
    errors.DependencyDown: 503,
}
"""Of each class and those below it; whatever is not here is our own fault: 500."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}
_MESSAGES = {
    404: "There is nothing at this address; /docs lists those that there are.",
}
_UNEXPECTED = "Something went wrong here."
_RETRY_SECONDS = 2
_MIB = 1024 * 1024
# Whoever waits for the next month may be granted more before.
_QUOTA_SECONDS = 3600

log = structlog.get_logger(__name__)


def install(app: Flask) -> None:
    """Answer every error of this application with a problem document."""
    app.register_error_handler(OrchestratorError, _explained)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: OrchestratorError) -> int:
    """The HTTP status of an error."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return 500


def error_object(error: OrchestratorError) -> dict[str, Any]:
    """An error as the OpenAI API shows one; what is our own fault is only called so."""
    status = status_of(error)
    if status == 500:
        return _error_object(status, "internal_error", _UNEXPECTED, None)
    return _error_object(status, error.code, error.message, error.param)


def range_problem(size: int) -> Response:
    """416: the range that was asked for begins behind the end of a content of `size` bytes."""
    message = f"The content has {size} bytes."
    return _problem(
        416, "range_not_satisfiable", message, headers={"Content-Range": f"bytes */{size}"}
    )


def _explained(error: OrchestratorError) -> Response:
    status = status_of(error)
    if status == 500:
        return _unexpected(error)
    if status == 503:
        log.warning(
            "dependency_down", code=error.code, error=error.message, cause=repr(error.__cause__)
        )
    headers = {}
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, errors.QuotaExceeded):
        headers["Retry-After"] = str(_quota_seconds(error.quota))
    return _problem(
        status, error.code, error.message, param=error.param, extra=error.extra, headers=headers
    )


def _refused(error: HTTPException) -> Response:
    """What Flask and Werkzeug refuse by themselves."""
    status = error.code or 500
    if status < 400:
        return Response(status=status, headers=error.get_headers())
    allowed = error.get_response().headers.get("Allow")
    code = _HTTP_CODES.get(status, "bad_request" if status < 500 else "internal_error")
    headers = {} if allowed is None else {"Allow": allowed}
    message = _MESSAGES.get(status) or error.description or ""
    if status == 413 and request.max_content_length is not None:
        limit = request.max_content_length // _MIB
        message = f"The body is too large: at most {limit} MiB of this kind are read here."
    return _problem(status, code, message, headers=headers)


def _unexpected(error: Exception) -> Response:
    """Tell the log everything and the client nothing."""
    log.error("request_failed", route=str(request.url_rule), exc_info=error)
    return _problem(500, "internal_error", f"{_UNEXPECTED} Request id: {request_id()}.")


def _problem(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    shown = _error_object(status, code, message, param)
    if request.path.startswith(FACADE):
        response = Response(to_json({"error": shown}), status, mimetype="application/json")
    else:
        document = {
            "type": f"/docs#error-{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": message,
            "code": code,
            "instance": quote(request.path),
            "request_id": request_id(),
            **(extra or {}),
            "error": shown,
        }
        response = Response(to_json(document), status, mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="orchestrator"'
    if status == 503:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    elif code not in {errors.RateLimited.code, _HTTP_CODES[408]}:
        # The openai SDK repeats 409, 429 and 500 by itself; asking again changes none of them.
        response.headers["x-should-retry"] = "false"
    response.headers.extend(headers or {})
    return response


def _error_object(status: int, code: str, message: str, param: str | None) -> dict[str, Any]:
    return {"message": message, "type": _type(status, code), "param": param, "code": code}


def _quota_seconds(quota: Mapping[str, Any]) -> int:
    """When to ask again: once the month is over, or in an hour."""
    left = datetime.fromisoformat(quota["reset_at"]) - datetime.now(UTC)
    return min(max(math.ceil(left.total_seconds()), 1), _QUOTA_SECONDS)


def _type(status: int, code: str) -> str:
    """The word of the OpenAI API for this family of errors."""
    if code == errors.QuotaExceeded.code:
        return "insufficient_quota"
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
