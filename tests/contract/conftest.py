"""Servers that contract tests speak to, and the client of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.contract.facade_stage import Facade, facade
from tests.contract.scripted_server import ScriptedServer, scripted_server


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
