"""What a newcomer is told about the code is so: who writes a status, who talks to whom, and that
nobody is called while a transaction is open.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("orchestrator", "api", "workers") for path in (ROOT / folder).rglob("*.py")
)
# What an UPDATE of videos sets, up to where it says of which.
_SET = re.compile(r"\bupdate\s+videos\b(?:\s+\w+)?\s+set\b(.*?)(?:\bwhere\b|\bfrom\b|$)", re.S)
_STATUS = re.compile(r"(?<![\w.])status\s*=")
# What is somewhere else, as attributes of a Context.
ELSEWHERE = {"pool", "crew", "storage", "broker", "cache", "wakes", "limits", "sender"}


def name_of(path: Path) -> str:
    """A file as the documentation names it."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(path.read_text())


def texts(tree: ast.AST) -> Iterator[str]:
    """The texts in the code, each whole: what is filled in is a word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def writes_status(tree: ast.AST) -> bool:
    """Whether this code has a statement that changes the status of videos."""
    changes = [change for text in texts(tree) for change in _SET.findall(text)]
    return any(_STATUS.search(change) for change in changes)


def calls_within(tree: ast.AST) -> Iterator[str]:
    """What is called elsewhere while a block has the database, as `ctx.cache.put`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.With):
            continue
        opened = {ast.unparse(item.context_expr) for item in node.items}
        if not any(".database." in one for one in opened):
            continue
        for inner in (within for line in node.body for within in ast.walk(line)):
            if isinstance(inner, ast.Call):
                called = ast.unparse(inner.func)
                if ELSEWHERE & set(called.removeprefix("self.").split(".")[1:-1]):
                    yield called


@pytest.mark.parametrize(
    ("source", "writes"),
    [
        ("text('update videos set status = :s where id = :id')", True),
        ("text(f'update videos v set seq = {n},\\n status = 1 from old where x')", True),
        ("text('update videos v set seq = 1 where v.status = 2')", False),
        ("text('update videos set upstream_status = 1')", False),
        ("text('update attempts set status = 1')", False),
    ],
)
def test_statement_that_writes_a_status_is_recognised(source: str, writes: bool) -> None:
    """Or the next test could not fail."""
    assert writes == writes_status(ast.parse(source))


def test_status_changes_in_one_module() -> None:
    """`Where does a status change?` has one answer."""
    assert ["orchestrator/db/transitions.py"] == [
        name_of(path) for path in SOURCES if writes_status(tree_of(path))
    ]


def test_who_talks_to_redis_is_who_is_named() -> None:
    """By a client of the one module that makes them; Celery has its own."""
    told = (ROOT / "CONTRIBUTING.md").read_text()
    (row,) = [line for line in told.splitlines() if line.startswith("| Who talks to Redis?")]
    named = set(re.findall(r"`([a-z_]+\.py)`", row))

    openers = {
        path.name for path in SOURCES if "orchestrator.redis_client" in imported(tree_of(path))
    }

    assert openers == named


def imported(tree: ast.AST) -> set[str | None]:
    """The modules that this code imports from."""
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_call_in_a_transaction_is_recognised() -> None:
    """Or the next test could not fail."""
    source = (
        "with self.ctx.database.transaction() as c:\n"
        "    if write(c):\n        self.ctx.broker.ring([])\n    write(c)\nctx.cache.put(1)\n"
    )

    assert ["self.ctx.broker.ring"] == list(calls_within(ast.parse(source)))


def test_nobody_is_called_while_a_transaction_is_open() -> None:
    """A provider takes minutes; so long no connection is kept, and no row locked."""
    assert {} == {
        name_of(path): called for path in SOURCES if (called := list(calls_within(tree_of(path))))
    }


def test_functions_on_the_walks_exist() -> None:
    """The walks through the code name modules and what is in them."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    walks = page[page.index("## Three walks") : page.index("## The sweep")]
    steps = re.findall(r"`((?:api|orchestrator|workers)(?:\.\w+)+)`", walks)

    assert len(steps) > 30
    assert [] == [step for step in steps if not exists(step)]


def exists(step: str) -> bool:
    """Whether there is such a module, with such a function or class (and method) in it."""
    names = step.split(".")
    for cut in range(len(names), 0, -1):
        path = ROOT.joinpath(*names[:cut]).with_suffix(".py")
        if path.is_file():
            return holds(tree_of(path), names[cut:])
    return False


def holds(node: ast.Module | ast.stmt, names: list[str]) -> bool:
    """Whether these are defined in it, each in the one before."""
    if not names:
        return True
    found = [
        one
        for one in getattr(node, "body", ())
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and one.name == names[0]
    ]
    return bool(found) and holds(found[0], names[1:])
