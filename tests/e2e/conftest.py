"""What tests of real processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_process import Starter


@pytest.fixture
def start(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts `python -m api`; whatever is left of it afterwards is killed."""
    starter = Starter(database_url, redis_url, tmp_path)
    yield starter

    starter.kill()
