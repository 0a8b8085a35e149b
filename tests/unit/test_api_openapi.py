"""The OpenAPI document and the pages made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from openapi_spec_validator import validate

from api import create_app
from api.codes import CODES
from orchestrator.context import Context
from tests.api_client import described
from tests.factories import NOWHERE, make_context, make_settings


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    """A context that can reach nothing."""
    context = make_context(make_settings("postgresql://127.0.0.1:1/none", NOWHERE, tmp_path))
    yield context
    context.close()


@pytest.fixture
def app(ctx: Context) -> Flask:
    """The application, without any service."""
    return create_app(ctx)


def test_document_is_valid_when_made(app: Flask) -> None:
    """By the schema of OpenAPI 3.1."""
    validate(described(app))


def test_document_names_every_route_when_made(app: Flask) -> None:
    """What is served is described, and the other way round."""
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not re.match(r"/(static/.*|admin|docs|openapi\.json)?$", rule.rule)
    }
    named = {
        (method, path)
        for path, operations in described(app)["paths"].items()
        for method in operations
    }

    assert served == named


def test_links_lead_to_what_was_made_when_followed(app: Flask) -> None:
    """Each names an operation that takes one id, and nobody but its maker's equals may follow."""
    document = described(app)
    operations = {
        operation["operationId"]: (path, operation)
        for path, methods in document["paths"].items()
        for operation in methods.values()
    }

    (made,) = operations["videos_create"][1]["responses"]["202"]["links"].keys() & {"videos_cancel"}
    link = document["components"]["links"][made]
    assert {"video_id": "$response.body#/id"} == link["parameters"]
    assert "/api/videos/{video_id}/cancel" == operations[link["operationId"]][0]
    assert {"keys_revoke"} == operations["keys_create"][1]["responses"]["201"]["links"].keys()
    assert set() == document["components"]["links"].keys() - operations.keys()


def test_errors_are_announced_with_their_codes(app: Flask) -> None:
    """Of each status those that this operation can answer with, in the shape of its clients."""
    paths = described(app)["paths"]

    native = paths["/api/videos/{video_id}/cancel"]["post"]["responses"]["409"]
    facade = paths["/v1/videos/{video_id}/content"]["get"]["responses"]["404"]
    (_, narrowed) = native["content"]["application/problem+json"]["schema"]["allOf"]
    assert ["already_finished"] == narrowed["properties"]["code"]["enum"]
    assert "Conflict: `already_finished`." == native["description"]
    (_, narrowed) = facade["content"]["application/json"]["schema"]["allOf"]
    error = narrowed["properties"]["error"]["properties"]
    assert ["content_not_ready", "not_found"] == error["code"]["enum"]


def test_fields_have_no_default_when_it_would_be_refused(app: Flask) -> None:
    """A client that fills in defaults must not send null where null is an error."""
    schemas = described(app)["components"]["schemas"]

    assert "default" not in schemas["QuotaLimits"]["properties"]["weight"]
    assert schemas["QuotaLimits"]["properties"]["cost_limit"]["default"] is None
    assert 1 == schemas["ChangeEndpoint"]["minProperties"]


def test_forms_have_the_rules_of_the_json_when_described(app: Flask) -> None:
    """What is too long in one is too long in the other."""
    content = described(app)["paths"]["/api/videos"]["post"]["requestBody"]["content"]

    form = content["multipart/form-data"]["schema"]["properties"]
    assert ("string", 1, 32000) == tuple(
        form["prompt"][name] for name in ("type", "minLength", "maxLength")
    )
    assert "date-time" == form["run_at"]["format"]
    assert {"type": "integer", "minimum": -100, "maximum": 100} == form["priority"]


def test_documents_are_separate_when_applications_are(app: Flask) -> None:
    """It is made once for each application."""
    first = app.test_client().get("/openapi.json")
    second = app.test_client().get("/openapi.json")

    assert (200, first.json) == (second.status_code, second.json)


@pytest.mark.parametrize("address", ["/", "/admin", "/docs"])
def test_pages_ask_nobody_else_when_shown(app: Flask, address: str) -> None:
    """No address of another host is loaded, and the policy would forbid it."""
    response = app.test_client().get(address)

    loaded = re.findall(r"<(?:link|script|img)[^>]+(?:href|src)=\"([^\"]+)\"", response.text)
    assert 200 == response.status_code
    assert loaded
    assert [] == [one for one in loaded if not one.startswith(("/static/", "data:"))]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "style=" not in response.text


def test_docs_explain_every_code_when_shown(app: Flask) -> None:
    """The `type` of a problem leads to its line."""
    page = app.test_client().get("/docs").text

    assert [] == [code for code in CODES if f'id="error-{code}"' not in page]


def test_docs_link_only_to_what_is_there_when_shown(app: Flask) -> None:
    """Each link inside the page has its target."""
    page = app.test_client().get("/docs").text

    targets = set(re.findall(r'id="([^"]+)"', page))
    assert set() == set(re.findall(r'href="#([^"]+)"', page)) - targets


def test_style_sheet_is_open_when_keys_are_wanted(app: Flask) -> None:
    """A page without its style would look broken."""
    response = app.test_client().get("/static/pages.css")

    assert (200, "text/css") == (response.status_code, response.mimetype)
    response.close()


def test_static_files_stay_in_their_folder_when_the_path_is_strange(app: Flask) -> None:
    """Nothing else of the machine can be fetched."""
    for path in ("../contract.py", "..%2fcontract.py", "/etc/passwd", "%2e%2e/contract.py"):
        assert 404 == app.test_client().get(f"/static/{path}").status_code


@pytest.mark.parametrize(
    ("given", "kept"),
    [("mine-1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)],
)
def test_request_id_is_kept_when_it_can_be_one(app: Flask, given: str, kept: bool) -> None:
    """Visible ASCII, at most 128 characters; else a new one is made."""
    response = app.test_client().get("/healthz", headers={"X-Request-Id": given})

    assert kept == (given == response.headers["X-Request-Id"])
    assert response.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "address", "status", "allow"),
    [
        ("OPTIONS", "/api/videos", 200, {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/api/videos", 405, {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/healthz", 405, {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods_are_told_when_they_come(
    app: Flask, method: str, address: str, status: int, allow: set[str]
) -> None:
    """Allow lists what is taken."""
    response = app.test_client().open(address, method=method)

    assert (status, allow) == (response.status_code, set(response.headers["Allow"].split(", ")))


@pytest.mark.parametrize("address", ["/nothing", "/api", "/api/videos/", "/API/videos"])
def test_unknown_addresses_answer_404_when_asked(app: Flask, address: str) -> None:
    """With a problem document like every error."""
    response = app.test_client().get(address)

    assert (404, "application/problem+json") == (response.status_code, response.mimetype)


def test_json_answers_are_guarded_when_sent(app: Flask) -> None:
    """No sniffing, no framing, no referrer, no other origin."""
    headers = app.test_client().get("/healthz").headers

    assert "nosniff" == headers["X-Content-Type-Options"]
    assert "no-referrer" == headers["Referrer-Policy"]
    assert "default-src 'none'; frame-ancestors 'none'" == headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers
