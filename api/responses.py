"""The responses of an operation, for the documentation: their bodies, their headers, and the links
that lead on from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from werkzeug.routing import Rule

from api import answers
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


def of(rule: Rule, promise: Contract, next_operations: Iterable[str]) -> Json:
    """All of a route, by status.

    Args:
        next_operations: ids of operations that take the id of what this one answers with.
    """
    success = _success(promise)
    if links := {name: {"$ref": f"#/components/links/{name}"} for name in next_operations}:
        success["links"] = links
    further = {str(status): _further(status, promise) for status in sorted(_also(rule, promise))}
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


def _further(status: int, promise: Contract) -> Json:
    described: Json = {"description": HTTPStatus(status).phrase}
    if status == 503 and promise.access == Access.PUBLIC and promise.answer is answers.Readiness:
        return described | {"content": {"application/json": {"schema": reference(promise.answer)}}}
    if status in _OF_STATUS:
        described["headers"] = _OF_STATUS[status]
    if status == 206:
        return described | {"content": {media: {} for media in promise.media}}
    if status < 400:
        return described
    media, model = (
        ("application/json", answers.OpenAIError)
        if promise.facade
        else ("application/problem+json", answers.Problem)
    )
    return described | {"content": {media: {"schema": reference(model)}}}


def _also(rule: Rule, promise: Contract) -> set[int]:
    """The other statuses that follow from what the contract says."""
    statuses = set(promise.codes) | {403}
    if promise.access != Access.PUBLIC:
        statuses |= {400, 401, 429, 503}
    if promise.body is not None:
        statuses |= {408, 413, 415}
    if rule.arguments:
        statuses.add(404)
    if promise.creates:
        statuses |= {410, 422}
    return statuses


def reference(model: type[BaseModel]) -> Json:
    """Where a model is described."""
    return {"$ref": REFERENCE.format(model=model.__name__)}
