"""Which HTTP status an error has, and that every code is documented."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from api import errors as api_errors
from api.codes import CODES
from api.errors import STATUSES, status_of
from orchestrator import errors

ROOT = Path(api_errors.__file__).parents[1]


def subclasses(kind: type[errors.OrchestratorError]) -> Iterator[type[errors.OrchestratorError]]:
    """The class and all below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("x", param="y"), 400),
        (errors.Unsupported("x"), 400),
        (errors.Unauthenticated(), 401),
        (errors.Forbidden(), 403),
        (errors.NotFound(), 404),
        (errors.Conflict(), 409),
        (errors.Gone(), 410),
        (errors.IdempotencyKeyReused(), 422),
        (errors.QuotaExceeded("x", quota={}), 429),
        (errors.RateLimited(retry_after=1), 429),
        (errors.DependencyDown(), 503),
        (errors.StorageError(), 503),
        (errors.ContentMissing(), 503),
        (errors.ConfigurationError(), 500),
        (errors.ProviderBusy(), 500),
    ],
)
def test_status_follows_from_the_class_when_it_is_known(
    error: errors.OrchestratorError, status: int
) -> None:
    """What no client can have caused is our own fault."""
    assert status == status_of(error)


def test_codes_have_the_status_of_their_class_when_documented() -> None:
    """What the table says is what happens."""
    own = {kind.code: status for one, status in STATUSES.items() for kind in subclasses(one)}

    assert own == {code: CODES[code].status for code in own}


def test_codes_have_the_status_of_their_class_when_the_source_names_them() -> None:
    """Codes that use cases and views give to single errors are in the table, too."""
    known = {kind.__name__: status for one, status in STATUSES.items() for kind in subclasses(one)}
    raised = _raised(("api", "orchestrator"))
    named = {(code, known[name]) for name, code in raised if name in known}

    assert ("already_finished", 409) in named
    assert named == {(code, CODES[code].status) for code, _ in named}


def _raised(folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(class, code) wherever an error is made with a code of its own."""
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        yield name, str(keyword.value.value)
