"""How much chaos: `--chaos-seeds 1,2,3` and `--chaos-actions N`; and, at the end, what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

DEFAULT_SEEDS = "1,2"
"""Of two profiles, one of them without a list: see `test_disturbances`."""
REPORTED = "chaos"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite."""
    parser.addoption(
        "--chaos-seeds", default=DEFAULT_SEEDS, help="comma-separated seeds, a run each"
    )
    parser.addoption("--chaos-actions", default=13, type=int, help="disturbances in a run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A run per seed."""
    if "seed" in metafunc.fixturenames:
        seeds = [int(seed) for seed in metafunc.config.getoption("--chaos-seeds").split(",")]
        metafunc.parametrize("seed", seeds)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What each run has suffered, whether it passed or not."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == REPORTED:
                    terminalreporter.section(report.nodeid.partition("::")[2], sep="-")
                    terminalreporter.line(str(text))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: PostgreSQL's socket lies below it. Everybody may pass, as root runs it as
    somebody else.
    """
    with TemporaryDirectory(prefix="chaos-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path
