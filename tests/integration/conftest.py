"""What integration tests share besides the services themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from api import create_app
from api.streams import feeds_of
from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.factories import make_context, make_settings
from tests.rig import Rig, rigged


@pytest.fixture
def make_rig(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes rigs with the catalog and the settings that a test wants."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            rigged(database_url, redis_url, tmp_path, **options)
        )


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A rig as it comes: the sandbox's profile, no caps, the default clocks."""
    return make_rig()


@pytest.fixture
def make_ctx(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Context]]:
    """Makes contexts with the settings that a test wants; nobody may call their provider."""
    with ExitStack() as stack:

        def make(**changes: object) -> Context:
            settings = make_settings(database_url, redis_url, tmp_path)
            context = make_context(replace(settings, **changes))  # type: ignore[arg-type]
            stack.callback(context.close)
            return context

        yield make


@pytest.fixture
def ctx(make_ctx: Callable[..., Context]) -> Context:
    """Everything that a use case works with; the broker records."""
    return make_ctx()


@pytest.fixture
def app(ctx: Context) -> Iterator[Flask]:
    """The application over that context, with AUTH=off."""
    app = create_app(ctx)
    yield app
    feeds_of(app).close()


@pytest.fixture
def api(app: Flask) -> ApiClient:
    """A client that holds every answer against the OpenAPI document."""
    return client(app)
