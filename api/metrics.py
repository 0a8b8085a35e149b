"""Numbers for Prometheus."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Flask, Response, current_app

from api.contract import Access, contract
from api.streams import feeds_of
from orchestrator.context import Context
from orchestrator.metrics import Page, Reporter

MEDIA = "text/plain"
_PAGE = "orchestrator.metrics"
_REPORTER = "orchestrator.reporter"

blueprint = Blueprint("metrics", __name__)


def install(app: Flask, ctx: Context) -> None:
    """Give this application what its numbers come from. Nothing runs yet."""
    feeds = feeds_of(app)
    reporter = Reporter(ctx, "web", streams=lambda: len(feeds))
    app.extensions[_REPORTER] = reporter
    app.extensions[_PAGE] = Page(ctx, reporter)


def reporter_of(app: Flask) -> Reporter:
    """What tells the others of this application's counts."""
    return cast(Reporter, app.extensions[_REPORTER])


@blueprint.get("/metrics")
@contract(
    "The numbers of the whole installation, for Prometheus",
    tag="admin",
    access=Access.ADMIN,
    machine=True,
    media=(MEDIA,),
)
def metrics() -> Response:
    """Of all processes and users, whichever process answers. `METRICS_TOKEN` opens it, as a key of
    an admin does.
    """
    text = cast(Page, current_app.extensions[_PAGE]).text()
    response = Response(text, content_type=f"{MEDIA}; version=0.0.4; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response
