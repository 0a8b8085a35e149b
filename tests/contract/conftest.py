"""Servers that contract tests speak to, and the client of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openai import OpenAI

from api import create_app
from orchestrator.context import Context
from tests import api_client
from tests.contract.facade_stage import Facade, facade
from tests.contract.scripted_server import ScriptedServer, scripted_server
from tests.factories import make_context, make_settings


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers as a test has told it to."""
    with scripted_server() as running:
        yield running


@pytest.fixture
def stage(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Facade]:
    """A running installation."""
    with facade(database_url, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def client(stage: Facade) -> Iterator[OpenAI]:
    """The SDK as it comes, with its two retries."""
    with OpenAI(base_url=stage.base_url, api_key="anything") as sdk:
        yield sdk


@pytest.fixture
def make_app(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Makes applications with the settings that a test wants."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Flask:
            ctx = make_context(make_settings(database_url, redis_url, tmp_path, **settings))
            stack.callback(ctx.close)
            return create_app(ctx)

        yield make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The application over the sandbox's rules."""
    return make_app()


@pytest.fixture
def ctx(app: Flask) -> Context:
    """What it works with."""
    found: Context = app.extensions["orchestrator"]
    return found


@pytest.fixture
def api(app: Flask) -> api_client.ApiClient:
    """A client that holds every answer against the OpenAPI document."""
    return api_client.client(app)
