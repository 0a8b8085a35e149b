"""How much chaos: `--chaos-seeds 1,2,3` and `--chaos-actions N`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    parser.addoption("--chaos-seeds", default="1", help="comma-separated seeds, a run each")
    parser.addoption("--chaos-actions", default=12, type=int, help="disturbances in a run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A run per seed."""
    if "seed" in metafunc.fixturenames:
        seeds = [int(seed) for seed in metafunc.config.getoption("--chaos-seeds").split(",")]
        metafunc.parametrize("seed", seeds)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: PostgreSQL's socket lies below it. Everybody may pass, as root runs it as
    somebody else.
    """
    with TemporaryDirectory(prefix="chaos-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
