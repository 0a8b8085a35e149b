"""The OpenAPI document, made from the routes, their contracts, and the models that validate."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from api import answers
from api.contract import Access, Contract, of
from api.cookies import COOKIE
from orchestrator import __version__

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters. For 7 days it stands for the same video.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_PREFER_HEADER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N` answers when the video is finished, or after N seconds (1 to 60), "
    "unless too many wait already; then Preference-Applied is not in the answer.",
    "schema": {"type": "string", "examples": ["wait=30"]},
}
_TAGS = {
    "videos": "Ask for videos and get them.",
    "events": "What happened.",
    "webhooks": "Be told of what happens.",
    "quota": "What you may have and have used.",
    "models": "What can be asked for.",
    "openai": "The same for clients of the OpenAI API: its paths, its objects, its errors.",
    "admin": "For operators.",
    "sessions": "Sign in with a browser.",
    "health": "For load balancers.",
}


def document(app: Flask) -> Json:
    """The whole document (OpenAPI 3.1)."""
    paths: dict[str, Json] = {}
    models: set[type[BaseModel]] = {answers.Problem, answers.OpenAIError}
    for rule, promise in _routes(app):
        path = _ARGUMENT.sub(r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(app, rule, promise)
        models |= {model for model in (promise.body, promise.answer) if model is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Video orchestrator",
            "version": __version__,
            "description": "Asks AI models for videos and sees each one through to its end.",
        },
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"key": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(models),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _routes(app: Flask) -> Iterator[tuple[Rule, Contract]]:
    for rule in app.url_map.iter_rules():
        promise = of(app.view_functions[rule.endpoint])
        if promise is not None and not promise.hidden:
            yield rule, promise


def _operation(app: Flask, rule: Rule, promise: Contract) -> Json:
    operation: Json = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [promise.tag],
        "summary": promise.summary,
        "description": inspect.getdoc(app.view_functions[rule.endpoint]) or "",
        "responses": _responses(rule, promise),
    }
    parameters = [*_path_parameters(rule), *_query_parameters(promise)]
    if promise.creates:
        parameters.append(_KEY_HEADER)
    if promise.waits:
        parameters.append(_PREFER_HEADER)
    if parameters:
        operation["parameters"] = parameters
    if promise.body is not None:
        operation["requestBody"] = {"required": True, "content": _request_content(promise)}
    if promise.access == Access.PUBLIC:
        operation["security"] = []
    return operation


def _path_parameters(rule: Rule) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _ARGUMENT.findall(rule.rule)
    ]


def _query_parameters(promise: Contract) -> list[Json]:
    if promise.query is None:
        return []
    schema = promise.query.model_json_schema(ref_template=_REFERENCE)
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


def _request_content(promise: Contract) -> Json:
    if promise.body is None:
        return {}
    content: Json = {"application/json": {"schema": _reference(promise.body)}}
    if promise.form:
        schema = promise.body.model_json_schema()
        fields = {
            name: {"type": "string"} | ({"enum": part["enum"]} if "enum" in part else {})
            for name, part in schema["properties"].items()
        }
        if "input_reference" in fields:
            fields["input_reference"]["contentMediaType"] = "application/octet-stream"
        form = {"type": "object", "properties": fields, "required": schema.get("required", [])}
        closed = promise.body.model_config.get("extra") == "forbid"
        form["additionalProperties"] = not closed
        content["multipart/form-data"] = {"schema": form}
    return content


def _responses(rule: Rule, promise: Contract) -> Json:
    success: Json = {"description": HTTPStatus(promise.status).phrase}
    if promise.answer is not None:
        success["content"] = {"application/json": {"schema": _reference(promise.answer)}}
    else:
        success["content"] = {media: {} for media in promise.media}
    found = {str(promise.status): success}
    for status in sorted(_further(rule, promise)):
        found[str(status)] = _further_response(status, promise)
    return found


def _further_response(status: int, promise: Contract) -> Json:
    described: Json = {"description": HTTPStatus(status).phrase}
    if status == 206:
        return described | {"content": {media: {} for media in promise.media}}
    if status < 400:
        return described
    if status == 503 and promise.access == Access.PUBLIC and promise.answer is not None:
        return described | {"content": {"application/json": {"schema": _reference(promise.answer)}}}
    media, model = (
        ("application/json", answers.OpenAIError)
        if promise.facade
        else ("application/problem+json", answers.Problem)
    )
    return described | {"content": {media: {"schema": _reference(model)}}}


def _further(rule: Rule, promise: Contract) -> set[int]:
    """The other statuses that follow from what the contract says."""
    statuses = set(promise.codes) | {403}
    if promise.access != Access.PUBLIC:
        statuses |= {400, 401, 429, 503}
    if promise.body is not None:
        statuses |= {413, 415}
    if rule.arguments:
        statuses.add(404)
    if promise.creates:
        statuses |= {410, 422}
    return statuses


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(models: Iterable[type[BaseModel]]) -> Json:
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REFERENCE
    )
    return dict(sorted(schemas["$defs"].items()))
