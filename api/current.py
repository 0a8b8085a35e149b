"""What the request at hand works with."""

from __future__ import annotations

from typing import cast

from flask import current_app, g

from orchestrator.context import Context
from orchestrator.records import Caller

EXTENSION = "orchestrator"


def context() -> Context:
    """The dependencies of the application."""
    return cast(Context, current_app.extensions[EXTENSION])


def caller() -> Caller:
    """Who asks; known in every view that is not public."""
    return cast(Caller, g.caller)


def made(video_id: str, *, replayed: bool) -> None:
    """Note which video this request has made, for its line in the log; `replayed`: an earlier one
    has.
    """
    g.made, g.replayed = video_id, replayed


def request_id() -> str:
    """The id under which this request appears in the logs and in its answer."""
    return cast(str, g.request_id)
