"""What a WSGI server loads: `application` is a factory, so that importing this opens nothing."""

from __future__ import annotations

from flask import Flask

from api import create_app
from orchestrator import context, logs, settings


def application() -> Flask:
    """The application of one server process, from the environment."""
    found = settings.load()
    logs.configure(found, "web")
    return create_app(context.build(found, application="orchestrator web"))
