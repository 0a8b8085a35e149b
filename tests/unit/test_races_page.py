"""The page of races names tests that are there."""

import ast
import re
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


def test_every_named_test_is_there():
    """A test that was renamed takes its line along."""
    names = {name for row in RULES for name in NAME.findall(row[2])}
    files = {name.partition("::")[0] for name in names}

    there = {f"{file}::{function}" for file in files for function in functions(file)}

    assert set() == names - there


def functions(file):
    """What the modules of the suite define, as pytest collects it."""
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
