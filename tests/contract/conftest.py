"""Servers that contract tests speak to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers as a test has told it to."""
    with scripted_server() as running:
        yield running
