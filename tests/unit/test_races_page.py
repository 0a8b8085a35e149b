"""The page of races names tests that are there, and that a run of the suite collects."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "races.md"
ROWS = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", PAGE.read_text(), re.MULTILINE)]
RULES = [row for row in ROWS if row[-1] not in {"Tests", "---"}]
NAME = re.compile(r"`((?:integration|contract|e2e|chaos)/test_\w+\.py::test_\w+)`")


def test_every_rule_names_a_test():
    """Nothing is promised on a description alone."""
    assert len(RULES) >= 36
    assert [] == [row[0] for row in RULES if len(row) != 3 or not NAME.search(row[2])]


def test_every_named_test_is_collected():
    """pytest itself finds each of them: a test that was renamed takes its line along."""
    names = sorted({f"tests/{name}" for row in RULES for name in NAME.findall(row[2])})

    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    collected = {line.partition("[")[0] for line in found.stdout.splitlines() if "::" in line}
    assert set() == set(names) - collected, found.stderr
    assert 0 == found.returncode, found.stdout[-2000:]
