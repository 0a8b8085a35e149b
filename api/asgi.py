"""What our server loads: `application` is a factory, so that importing this opens nothing."""

from __future__ import annotations

from api import wsgi
from api.bridge import Bridge
from orchestrator import settings


def application() -> Bridge:
    """The application of one server process, from the environment."""
    found = settings.load()
    return Bridge(
        wsgi.application(), threads=found.web_threads, seconds=found.request_timeout_seconds
    )
