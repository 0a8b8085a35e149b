"""The OpenAPI document, made from the routes, their contracts, and the models that validate."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from api import answers, parameters, responses
from api.contract import Access, Contract, of
from api.cookies import COOKIE
from api.parameters import ARGUMENT, REFERENCE
from api.responses import reference
from orchestrator import __version__

Json = dict[str, Any]
_PLAIN_RULES = frozenset(
    {"enum", "format", "maximum", "maxLength", "minimum", "minLength", "pattern", "type"}
)
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
    links: dict[str, Json] = {}
    for rule, promise in _routes(app):
        path = ARGUMENT.sub(r"{\1}", rule.rule)
        method = responses.method_of(rule).lower()
        paths.setdefault(path, {})[method] = _operation(app, rule, promise)
        models |= {model for model in (promise.body, promise.answer) if model is not None}
        links |= {name: responses.link(name, promise.makes) for name in _followers(app, promise)}
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
            "links": dict(sorted(links.items())),
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
        "operationId": _id(rule),
        "tags": [promise.tag],
        "summary": promise.summary,
        "description": inspect.getdoc(app.view_functions[rule.endpoint]) or "",
        "responses": responses.of(rule, promise, _followers(app, promise)),
    }
    if found := parameters.of(rule, promise):
        operation["parameters"] = found
    if promise.body is not None:
        operation["requestBody"] = {"required": True, "content": _request_content(promise)}
    if promise.access == Access.PUBLIC:
        operation["security"] = []
    return operation


def _id(rule: Rule) -> str:
    return str(rule.endpoint).replace(".", "_")


def _followers(app: Flask, promise: Contract) -> list[str]:
    """The operations that take nothing in their path but the id of what this one makes."""
    return sorted(
        _id(rule)
        for rule, other in _routes(app)
        if rule.arguments == {promise.makes}
        and (other.facade, other.access) == (promise.facade, promise.access)
    )


def _request_content(promise: Contract) -> Json:
    if promise.body is None:
        return {}
    content: Json = {"application/json": {"schema": reference(promise.body)}}
    if promise.form:
        schema = promise.body.model_json_schema()
        fields = {name: _as_text(part) for name, part in schema["properties"].items()}
        if "input_reference" in fields:
            fields["input_reference"]["contentMediaType"] = "application/octet-stream"
        form = {"type": "object", "properties": fields, "required": schema.get("required", [])}
        closed = promise.body.model_config.get("extra") == "forbid"
        form["additionalProperties"] = not closed
        content["multipart/form-data"] = {"schema": form}
    return content


def _as_text(schema: Json) -> Json:
    """A field as a form has it: a text, or a number written as one, with the rules of those."""
    kinds = (schema, *schema.get("anyOf", ()))
    plain = (kind for kind in kinds if kind.get("type") in {"string", "integer"})
    rules: Json = next(plain, {"type": "string"})
    return {name: rules[name] for name in _PLAIN_RULES & rules.keys()}


def _schemas(models: Iterable[type[BaseModel]]) -> Json:
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=REFERENCE
    )
    for schema in schemas["$defs"].values():
        for field in schema.get("properties", {}).values():
            if "type" in field and field.get("default", ...) is None:
                del field["default"]  # it stands for "stays as it is": null itself is refused
    return dict(sorted(schemas["$defs"].items()))
