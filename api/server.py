"""Serves the application with granian: of the servers that we measured the fastest by far."""

from __future__ import annotations

import resource
import socket

import structlog
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from api.wsgi import GRACE_SECONDS
from orchestrator.errors import ConfigurationError
from orchestrator.settings import Settings

TARGET = "api.asgi:application"
_HEADER_BYTES = 64 * 1024
_WAITING = 1024
_CLIENTS = 20_000
# Its own lines go the way of all others, and only when something is wrong.
_LOGGING = {"version": 1, "disable_existing_loggers": False, "handlers": {}, "loggers": {}}

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what has begun, for some seconds, and return.

    Raises:
        ConfigurationError: nobody can listen at HOST and PORT.
    """
    address, port = free_address(settings.host, settings.port)
    _allow_clients()
    log.info("serving", url=f"http://{settings.host}:{port}", processes=settings.web_processes)
    Server(
        TARGET,
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.asyncio,
        factory=True,
        workers=settings.web_processes,
        backlog=_WAITING,
        # A stream that waits is a request that has begun, so these bound the clients, not the work.
        backpressure=_CLIENTS,
        websockets=False,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(1000 * settings.request_timeout_seconds),
            max_buffer_size=_HEADER_BYTES,
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE_SECONDS,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    ).serve()


def _allow_clients() -> None:
    """Each client is an open file, and the usual limit of 1024 is meant for programs that use
    select(), which nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CLIENTS if hard == resource.RLIM_INFINITY else min(hard, 2 * _CLIENTS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_address(host: str, port: int) -> tuple[str, int]:
    """The numeric address and the port to listen at; port 0 becomes a free one.

    Raises:
        ConfigurationError: the host is unknown, the port taken or not permitted.
    """
    try:
        family, _, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found)
            address, free, *_ = probe.getsockname()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen at HOST={host} PORT={port}: {error.strerror}.", param="PORT"
        ) from None
    return address, free
