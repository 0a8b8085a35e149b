"""An application behind the door through which all requests go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.contract import DOOR
from tests.fuzz.stage import Stage, staged


@pytest.fixture
def opened(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A fresh one for each test."""
    with staged(database_url, redis_url, tmp_path) as stage:
        DOOR.app = stage.app
        yield stage
        DOOR.app = None
