"""The parameters of an operation, for the documentation: in its path, its query, its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.routing import Rule

from api.contract import Contract

Json = dict[str, Any]

ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
REFERENCE = "#/components/schemas/{model}"
KEY = "Idempotency-Key"
PREFER = "Prefer"
HEADERS: Mapping[str, Json] = {
    KEY: {
        "description": "1 to 255 visible ASCII characters. For 7 days it stands for the same "
        "request.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    PREFER: {
        "description": "`wait=N` answers when the video is finished, or after N seconds (1 to 60), "
        "unless too many wait already; then Preference-Applied is not in the answer.",
        "schema": {"type": "string", "examples": ["wait=30"]},
    },
    "If-None-Match": {
        "description": "The ETag of what you have; 304 if it is still that.",
        "schema": {"type": "string"},
    },
    "If-Range": {
        "description": "The ETag of the part that you have; if it is of another file, all comes.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "description": "The id of the last event that is known; counts more than `after`.",
        "schema": {"type": "string"},
    },
    "Range": {
        "description": "One range of bytes; anything else is as if it were not there.",
        "schema": {"type": "string", "examples": ["bytes=0-1023", "bytes=-1", "bytes=9999999999-"]},
    },
}
"""Of requests: what a contract may name in `heeds`."""


def of(rule: Rule, promise: Contract) -> list[Json]:
    """All of a route, in that order."""
    return [*_path(rule), *_query(promise), *_headers(promise)]


def _path(rule: Rule) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ARGUMENT.findall(rule.rule)
    ]


def _query(promise: Contract) -> list[Json]:
    if promise.query is None:
        return []
    schema = promise.query.model_json_schema(ref_template=REFERENCE)
    definitions = schema.pop("$defs", {})
    parameters = []
    for name, described in schema["properties"].items():
        inline = _inlined(described, definitions)
        text = inline.pop("description", None)
        parameter = {"name": name, "in": "query", "schema": inline}
        parameters.append(parameter if text is None else parameter | {"description": text})
    return parameters


def _inlined(schema: Any, definitions: Json) -> Any:
    """A schema without references: parameters have no place to keep definitions."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items() if name != "title"}


def _headers(promise: Contract) -> list[Json]:
    heeded = [KEY] * promise.creates + [PREFER] * promise.waits + [*promise.heeds]
    return [{"name": name, "in": "header", **HEADERS[name]} for name in heeded]
