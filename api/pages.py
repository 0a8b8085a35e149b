"""Pages for people: the dashboard and the reference. Nothing on them comes from elsewhere, and they
hold no data: the dashboard asks the API for those, with the session of whoever looks at it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, make_response, render_template

from api.codes import CODES
from api.contract import Access, Contract, contract
from api.current import context
from api.openapi import document
from api.replies import reply
from orchestrator.errors import StorageError
from orchestrator.settings import Settings

blueprint = Blueprint("pages", __name__)

_EXTENSION = "openapi"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
# The scripts make no markup out of texts, and may not: a browser refuses it. `blob:` is the preview
# of an image before it is sent, and files that are fetched for an admin; `files` is where the
# storage serves signed addresses, if it does.
_DASHBOARD_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:{files}; media-src 'self' blob:{files}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def install_static(app: Flask) -> None:
    """Open the folder of style sheets to everybody, like the pages that use them."""
    view = cast(Any, app.view_functions["static"])
    view.contract = Contract("Style sheets", access=Access.PUBLIC, hidden=True)


@blueprint.get("/")
@contract("The dashboard", access=Access.PUBLIC, hidden=True)
def home() -> Response:
    """Videos: ask for them, watch them come, play them."""
    return _dashboard("videos", "main.js")


@blueprint.get("/admin")
@contract("The dashboard of the admins", access=Access.PUBLIC, hidden=True)
def admin() -> Response:
    """What needs an operator's eye or hand."""
    return _dashboard("admin", "admin.js")


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


def _dashboard(here: str, script: str) -> Response:
    policy = _DASHBOARD_POLICY.format(files=_files())
    settings = context().settings
    return _page(
        f"dashboard/{here}.html",
        policy,
        here=here,
        script=script,
        auth=settings.auth,
        flower=_flower(settings),
    )


def _flower(settings: Settings) -> str:
    """Where Flower is, seen from the page: with a prefix below the page's own address, for who sets
    one has a proxy in front of both; else at its own port of the same host.
    """
    prefix = settings.flower_url_prefix
    return f"/{prefix}/" if prefix else f":{settings.flower_port}/"


def _files() -> str:
    """Where signed addresses of files lead, as a further source of a policy."""
    try:
        url = context().storage.signed_url("page", expires_in=timedelta(minutes=1), filename=None)
    except StorageError:
        return ""  # the page says what does not work; without pictures it still can
    return "" if url is None else " {0.scheme}://{0.netloc}".format(urlsplit(url))


def _page(template: str, policy: str = _POLICY, **values: Any) -> Response:
    response = make_response(render_template(template, **values))
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
