"""What no module of ours may use, because a wrong value would then be run as a program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = [
    path
    for package in ("orchestrator", "api", "workers")
    for path in sorted((ROOT / package).rglob("*.py"))
]
# What reads programs from bytes; YAML is read nowhere, so not even its safe half is needed.
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "code", "pty"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "numpy.load"}
# Processes are started by whoever runs them, from lists of arguments, never through a shell.
STARTERS = ("orchestrator/local/", "orchestrator/cli/", "workers/")


def dangers(source: str, name: str) -> Iterator[str]:
    """What is dangerous in a module of this name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named = {(node.module or "").partition(".")[0]}
        else:
            named = set()
        yield from sorted(named & MODULES)
        if "subprocess" in named and not name.startswith(STARTERS):
            yield "subprocess"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS:
                yield called
            if any(word.arg == "shell" for word in node.keywords):
                yield f"{called}(shell=…)"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("from pickle import loads", ["pickle"]),
        ("import yaml.loader", ["yaml"]),
        ("eval(text)", ["eval"]),
        ("import os\nos.system(text)", ["os.system"]),
        ("import subprocess", ["subprocess"]),
        ("run(text, shell=True)", ["run(shell=…)"]),
        ("import re\nre.compile(text)", []),
    ],
)
def test_danger_is_seen_when_it_is_there(source: str, found: list[str]) -> None:
    """The other test would notice."""
    assert found == list(dangers(source, "api/somewhere.py"))


def test_modules_run_nothing_that_they_are_given() -> None:
    """No pickles, no YAML, no evaluated texts, no shell."""
    found = {}
    for path in OURS:
        name = str(path.relative_to(ROOT))
        if there := list(dangers(path.read_text(encoding="utf-8"), name)):
            found[name] = there

    assert len(OURS) > 100
    assert {} == found
