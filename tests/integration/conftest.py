"""What integration tests share besides the services themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

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
