"""The responses of an operation, for the documentation: their bodies, their headers, and the links
that lead on from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from werkzeug.routing import Rule

from api import answers
from api.codes import CODES
from api.contract import Access, Contract
from api.parameters import REFERENCE

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
HEADERS: Mapping[str, Json] = {
    "ETag": {"description": "For If-None-Match.", "required": True, "schema": _TEXT},
    "Link": {"description": 'The next page, as rel="next".', "schema": _TEXT},
    "Location": {"description": "Its address.", "required": True, "schema": _TEXT},
    "openai-poll-after-ms": {
        "description": "Milliseconds to wait before looking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
"""Of answers: what a contract may name in `gives`."""
_REPLAYED: Json = {
    "description": "There if the answer is about the video of an earlier request.",
    "schema": {"type": "string", "enum": ["true", "sdk-retry"]},
}
_WAITED: Json = {
    "description": "For how long the answer may have waited.",
    "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
}
_LATER: Json = {
    "description": "Seconds to wait before asking again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_OF_STATUS: Mapping[int, Mapping[str, Json]] = {
    206: {"Content-Range": {"required": True, "schema": _TEXT}},
    302: {"Location": {"required": True, "schema": _TEXT}},
    401: {"WWW-Authenticate": {"required": True, "schema": _TEXT}},
    429: {"Retry-After": _LATER},
    503: {"Retry-After": _LATER},
}
_READ = {"bad_request", "invalid_value", "unknown_field"}
_TAKEN = {
    *("invalid_json", "missing_field", "request_timeout", "request_too_large"),
    *("too_many_uploads", "unsupported_media_type"),
}
_ASKED = {
    *("bad_request", "invalid_value", "unauthenticated", "forbidden", "scope_missing"),
    *("rate_limited", "dependency_busy", "dependency_down"),
}
_CHANGES = {"commit_unknown", "foreign_page", "request_timeout", "too_many_uploads"}
_CREATES = {
    *("gone", "idempotency_key_reused", "invalid_idempotency_key", "quota_exceeded"),
    *("storage_error", "unknown_model", "unsupported"),
}


def of(rule: Rule, promise: Contract, next_operations: Iterable[str]) -> Json:
    """All of a route, by status.

    Args:
        next_operations: ids of operations that take the id of what this one answers with.
    """
    success = _success(promise)
    if links := {name: {"$ref": f"#/components/links/{name}"} for name in next_operations}:
        success["links"] = links
    errors = _errors(rule, promise)
    statuses = {CODES[code].status for code in errors} | set(promise.also)
    further = {
        str(status): _further(status, promise, errors)
        for status in sorted(statuses - {promise.status})
    }
    return {str(promise.status): success} | further


def link(operation: str, argument: str) -> Json:
    """A link to an operation whose path takes the id of what an answer is about."""
    return {"operationId": operation, "parameters": {argument: "$response.body#/id"}}


def _success(promise: Contract) -> Json:
    described: Json = {"description": HTTPStatus(promise.status).phrase}
    if promise.answer is not None:
        described["content"] = {"application/json": {"schema": reference(promise.answer)}}
    else:
        described["content"] = {media: {} for media in promise.media}
    headers = {name: HEADERS[name] for name in promise.gives}
    headers |= {"Idempotent-Replayed": _REPLAYED} if promise.creates else {}
    headers |= {"Preference-Applied": _WAITED} if promise.waits else {}
    return described | ({"headers": headers} if headers else {})


def _further(status: int, promise: Contract, errors: Iterable[str]) -> Json:
    described: Json = {"description": HTTPStatus(status).phrase}
    codes = sorted(code for code in errors if CODES[code].status == status)
    if status in _OF_STATUS and (codes or status < 400):
        described["headers"] = _OF_STATUS[status]
    if codes:
        described["description"] += f": {', '.join(f'`{code}`' for code in codes)}."
        described["content"] = _problem(codes, facade=promise.facade)
    elif status == 206:
        described["content"] = {media: {} for media in promise.media}
    elif status >= 400 and promise.answer is not None:
        described["content"] = {"application/json": {"schema": reference(promise.answer)}}
    return described


def _problem(codes: Sequence[str], *, facade: bool) -> Json:
    """An error with one of these codes, as it is shown there."""
    one: Json = {"properties": {"code": {"enum": codes}}}
    if facade:
        schema = [reference(answers.OpenAIError), {"properties": {"error": one}}]
        return {"application/json": {"schema": {"allOf": schema}}}
    return {"application/problem+json": {"schema": {"allOf": [reference(answers.Problem), one]}}}


def _errors(rule: Rule, promise: Contract) -> set[str]:
    """The codes that follow from what a contract says, and those that it names."""
    errors = {"not_local", *promise.errors}
    if promise.access != Access.PUBLIC:
        errors |= _ASKED | (_CHANGES if method_of(rule) != "GET" else set())
    if promise.query is not None:
        errors |= _READ
    if promise.body is not None:
        errors |= _READ | _TAKEN
    if rule.arguments:
        errors.add("not_found")
    if promise.creates:
        errors |= _CREATES
    return errors


def method_of(rule: Rule) -> str:
    """The method of a route; each of ours has one."""
    (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
    return str(method)


def reference(model: type[BaseModel]) -> Json:
    """Where a model is described."""
    return {"$ref": REFERENCE.format(model=model.__name__)}
