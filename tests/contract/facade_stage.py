"""The OpenAI-compatible facade as its clients meet it: over a socket, a sandbox behind it."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from api import create_app
from orchestrator.catalog import single_provider_catalog
from orchestrator.context import Context
from orchestrator.providers import open_provider
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from orchestrator.settings import Settings
from tests.factories import make_context, make_image, make_settings
from tests.served import served, worked

FAST = {"poll_min_seconds": 0.05, "retry_base_seconds": 0.05, "reconcile_grace_seconds": 0.1}
PATIENCE = 30.0
ME = "test_user"
IMAGE = f"data:image/png;base64,{base64.b64encode(make_image()).decode()}"
Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def shown(response: TestResponse) -> dict[str, Any]:
    """The video of an answer."""
    assert 200 == response.status_code, response.text
    assert response.json is not None
    return dict(response.json)


def refused(response: TestResponse, status: int) -> dict[str, Any]:
    """The error of an answer, which has the shape that the openai SDK reads."""
    assert status == response.status_code, response.text
    assert "application/json" == response.mimetype
    assert response.json is not None
    assert ["error"] == list(response.json)
    error = dict(response.json["error"])
    assert {"message", "type", "param", "code"} == set(error)
    assert all(isinstance(error[name], str) for name in ("message", "type", "code"))
    assert error["param"] is None or isinstance(error["param"], str)
    return error


class Facade:
    """An installation behind one address, `base_url`, which ends in /v1. While it is stopped, and
    its workers with it, every connection is cut.
    """

    def __init__(self, settings: Settings, sandbox: RunningSandbox):
        self.sandbox = sandbox
        self.base_url = ""
        self._settings = settings
        self._open = ExitStack()
        self._running = False
        self.start()

    def start(self) -> None:
        """A new web process and new workers; all that they share with the former is the data."""
        self.ctx: Context = make_context(self._settings, open_client=open_provider)
        self._open.callback(self.ctx.close)
        self.app: Flask = create_app(self.ctx)
        self._open.enter_context(worked(self.ctx))
        self._running = True

    def stop(self) -> None:
        """The workers end what they have begun."""
        self._running = False
        self._open.close()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As a WSGI application."""
        return self.app(environ, start_response) if self._running else cut(environ)


class Network:
    """What lies between a client and an installation. It does to POSTs, one after the other, what
    a test says: "request" is lost, and so is "answer", told by 504 of a proxy; with "cut" before
    it, by a broken connection. A "late answer" waits for the end of the test.
    """

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.posts: list[Environ] = []
        self.over = Event()

    def around(self, app: Any) -> Any:
        """The application behind this network."""

        def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] != "POST":
                found: Iterable[bytes] = app(environ, start_response)
                return found
            self.posts.append(environ)
            trouble = self.troubles.pop(0) if self.troubles else None
            if trouble is None:
                return list(app(environ, start_response))
            if "answer" in trouble:
                list(app(environ, lambda *_: None))
            if trouble == "late answer":
                self.over.wait(PATIENCE)
            return gateway_timeout(start_response) if "cut" not in trouble else cut(environ)

        return answer


def gateway_timeout(start_response: StartResponse) -> Iterable[bytes]:
    """What a proxy says that has heard nothing."""
    start_response("504 Gateway Timeout", [("Content-Length", "0")])
    return []


def cut(environ: Environ) -> Iterable[bytes]:
    """Break the connection of this request."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


@contextmanager
def facade(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    *,
    middleware: Any = None,
    faults: str = "",
    **settings: Any,
) -> Iterator[Facade]:
    """An installation over a sandbox that is done in no time, with workers."""
    with running_sandbox(instant_video=True, render_seconds=0.2, faults=faults) as sandbox:
        catalog = single_provider_catalog(base_url=sandbox.base_url, profile="sandbox")
        options = {**FAST, "catalog": catalog, **settings}
        running = Facade(make_settings(database_url, redis_url, tmp_path, **options), sandbox)
        try:
            with served(running if middleware is None else middleware(running)) as url:
                running.base_url = f"{url}/v1"
                yield running
        finally:
            running.stop()
