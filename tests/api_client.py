"""A client of the API that holds every answer against the OpenAPI document."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from api.contract import of
from api.openapi import document

Json = dict[str, Any]


class ApiClient(FlaskClient):
    """Fails when an answer is not one that the document announces."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Send a request, check what the document says about the answer, and return it."""
        response = super().open(*args, **options)
        rule = response.request.path
        operation = _operation(self.application, rule, response.request.method)
        if operation is not None and response.request.method != "OPTIONS":
            check(self.application, operation, response)
        return response


def client(app: Flask) -> ApiClient:
    """A client of this application."""
    return ApiClient(app, app.response_class, use_cookies=False)


def make_video(api: ApiClient, user: str = "test_user", **body: Any) -> Any:
    """A queued video, by the API."""
    response = api.post(
        "/api/videos", json={"prompt": "a red kite"} | body, headers={"X-User-Id": user}
    )
    assert 202 == response.status_code, response.text
    return response.json


def check(app: Flask, operation: Json, response: TestResponse) -> None:
    """Raise unless status, headers, type and body of a response are as announced."""
    announced = operation["responses"]
    status = str(response.status_code)
    assert status in announced, f"{status} is not announced: {response.text[:300]}"
    headers = announced[status].get("headers", {}).items()
    assert [] == [
        name for name, one in headers if one.get("required", False) and name not in response.headers
    ]
    content = announced[status].get("content")
    if content is None or response.request.method == "HEAD":
        return
    assert response.mimetype in content, f"{response.mimetype} is not announced"
    schema = content[response.mimetype].get("schema")
    if schema is not None:
        components = described(app)["components"]
        errors = list(
            Draft202012Validator({**schema, "components": components}).iter_errors(response.json)
        )
        assert [] == errors


def _operation(app: Flask, path: str, method: str) -> Json | None:
    method = "get" if method == "HEAD" else method.lower()
    for template, operations in described(app)["paths"].items():
        if _pattern(template).fullmatch(path) and method in operations:
            found: Json = operations[method]
            return found
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"[^/]+", template))


def described(app: Flask) -> Json:
    """Its document. Every test has an application of its own, and nearly all have the same routes:
    to describe them each time would take longer than the tests.
    """
    promises = frozenset(
        (rule.rule, *sorted(rule.methods or ()), of(app.view_functions[rule.endpoint]))
        for rule in app.url_map.iter_rules()
    )
    if promises not in _documents:
        _documents[promises] = document(app)
    return _documents[promises]


_documents: dict[frozenset[Any], Json] = {}
