"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.answering_server import AnsweringServer, answering_server
from tests.cli import FakeTime


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that says what the test wants."""
    with answering_server() as server:
        yield server


@pytest.fixture
def time() -> FakeTime:
    """A clock that never waits."""
    return FakeTime()
