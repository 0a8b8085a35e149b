"""Pages for people: the front page and the reference. Nothing on them comes from elsewhere."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, make_response, render_template

from api.codes import CODES
from api.contract import Access, Contract, contract
from api.openapi import document
from api.replies import reply

blueprint = Blueprint("pages", __name__)

_EXTENSION = "openapi"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def install_static(app: Flask) -> None:
    """Open the folder of style sheets to everybody, like the pages that use them."""
    view = cast(Any, app.view_functions["static"])
    view.contract = Contract("Style sheets", access=Access.PUBLIC, hidden=True)


@blueprint.get("/")
@contract("The front page", access=Access.PUBLIC, hidden=True)
def home() -> Response:
    """Says what this is and how to begin."""
    return _page("home.html")


@blueprint.get("/docs")
@contract("The reference of this API", access=Access.PUBLIC, hidden=True)
def docs() -> Response:
    """The same as /openapi.json, to read."""
    return _page("docs.html", document=_document(), codes=CODES)


@blueprint.get("/openapi.json")
@contract("The OpenAPI document", access=Access.PUBLIC, hidden=True)
def openapi() -> Response:
    """Generated from the models that validate."""
    return reply(_document(), headers={"Access-Control-Allow-Origin": "*"})


def _document() -> dict[str, Any]:
    """Made with the first request for it: no start of a server waits for it."""
    made = current_app.extensions
    if _EXTENSION not in made:
        made[_EXTENSION] = document(current_app)
    return cast(dict[str, Any], made[_EXTENSION])


def _page(template: str, **values: Any) -> Response:
    response = make_response(render_template(template, **values))
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response
