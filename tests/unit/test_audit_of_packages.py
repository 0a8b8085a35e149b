"""What `make audit` makes of a report of pip-audit."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FLASK = {"name": "flask", "version": "3.1.0", "vulns": []}
OLD = {
    "name": "old",
    "version": "1.0",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]},
        {"id": "PYSEC-2", "fix_versions": []},
    ],
}
OURS = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """The script, which is in no package."""
    path = Path(__file__).parents[2] / ".ci" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit_of_packages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


def test_findings_are_told_when_there_are_some(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with the versions that mend it, and the build fails; both locks count once."""
    found = audit.findings(_report(FLASK, OLD, OURS, OLD))

    assert 1 == audit.told("pypi", found)
    assert [
        "2 packages were looked up in pypi.",
        "It does not know ours.",
        "old 1.0: PYSEC-1, mended in 1.1, 2.0",
        "old 1.0: PYSEC-2, mended in no version yet",
    ] == capsys.readouterr().out.splitlines()


def test_build_passes_when_nothing_is_found(audit: ModuleType) -> None:
    """Packages that were looked up, and no vulnerability."""
    assert 0 == audit.told("pypi", audit.findings(_report(FLASK)))


@pytest.mark.parametrize(
    ("answer", "said", "status"),
    [
        (lambda audit: audit.findings(_report(FLASK)), "No vulnerability is known.", 0),
        (lambda audit: audit.findings(_report(OLD)), "old 1.0: PYSEC-1, mended in 1.1, 2.0", 1),
        (lambda audit: "no route", "NOT AUDITED", 0),
    ],
)
def test_second_database_is_asked_when_the_first_says_nothing(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Callable[[ModuleType], Any],
    said: str,
    status: int,
) -> None:
    """Silence of both is said to be no verdict."""
    answers = {"pypi": "it knows none of the packages", "osv": answer(audit)}
    monkeypatch.setattr(audit, "ask", answers.get)

    assert status == audit.main()
    assert said in capsys.readouterr().out


def test_nothing_is_known_when_every_package_was_skipped(audit: ModuleType) -> None:
    """A mirror that has the files only answers 404 to all: that is not "no vulnerability"."""
    found = audit.findings(_report(OURS))

    assert (0, ["ours"]) == (found.known, found.unknown)
