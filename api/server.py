"""Serves the application with granian: of the WSGI servers that we measured the fastest by far."""

from __future__ import annotations

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server

from orchestrator.settings import Settings

TARGET = "api.wsgi:application"
# A platform's patience ends between 5 s (honcho) and 10 s (Heroku-like) after SIGTERM.
_GRACE_SECONDS = 4
_HEADER_BYTES = 64 * 1024
_HEADER_MILLISECONDS = 15_000
_WAITING = 1024


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what has begun, for some seconds, and return."""
    Server(
        TARGET,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        backlog=_WAITING,
        backpressure=_WAITING // settings.web_processes,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEADER_MILLISECONDS, max_buffer_size=_HEADER_BYTES
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_SECONDS,
        log_enabled=False,
    ).serve()
