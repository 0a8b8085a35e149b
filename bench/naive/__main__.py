"""Serves the baseline as well as it can be: with the fastest server, and four threads a process."""

from __future__ import annotations

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from orchestrator.settings import load

if __name__ == "__main__":
    settings = load()
    Server(
        "bench.naive.app:create_app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=settings.web_processes,
        blocking_threads=4,
        log_level=LogLevels.error,
    ).serve()
