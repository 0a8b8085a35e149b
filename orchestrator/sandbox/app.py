"""The sandbox as a WSGI application."""

from __future__ import annotations

import logging

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from orchestrator.sandbox.control import control
from orchestrator.sandbox.errors import RefusedError
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.sandbox.videos import videos
from orchestrator.sandbox.wire import refused

logger = logging.getLogger(__name__)

# A reference image may have 20 MB, and a third more as base64.
LARGEST_BODY = 40 * 1024 * 1024


def create_app(sandbox: Sandbox) -> Flask:
    """The application that serves this sandbox; closing it is left to the caller."""
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY, MAX_FORM_MEMORY_SIZE=LARGEST_BODY)
    app.extensions["sandbox"] = sandbox
    for number, prefix in enumerate(sandbox.dialect.prefixes):
        app.register_blueprint(videos, url_prefix=prefix, name=f"videos-{number}")
    app.register_blueprint(control)

    app.register_error_handler(RefusedError, refused)
    app.register_error_handler(HTTPException, _no_such_thing)
    app.register_error_handler(Exception, _broken)
    return app


def _no_such_thing(failure: HTTPException) -> Response:
    return refused(RefusedError(failure.code or 500, failure.description or failure.name))


def _broken(_: Exception) -> Response:
    logger.exception("the sandbox itself failed")
    message = "The sandbox itself failed; see its log."
    return refused(RefusedError(500, message, type="server_error"))
