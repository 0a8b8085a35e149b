"""What the views share: the sandbox that they serve, and JSON on its way out."""

from __future__ import annotations

import json
from typing import cast

from flask import Response, current_app

from orchestrator.sandbox import replies
from orchestrator.sandbox.errors import RefusedError
from orchestrator.sandbox.sandbox import Sandbox


def current_sandbox() -> Sandbox:
    """The sandbox that this application serves."""
    return cast(Sandbox, current_app.extensions["sandbox"])


def answered(body: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(json.dumps(body), status, mimetype="application/json")


def refused(refusal: RefusedError) -> Response:
    """A refusal, worded in the envelope of the imitated server."""
    response = answered(replies.error(refusal, current_sandbox().dialect), refusal.status)
    response.headers.extend(dict(refusal.headers))
    return response
