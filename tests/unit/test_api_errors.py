"""Which HTTP status an error has, and that every code is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import errors as api_errors
from api.errors import CODES, STATUSES, status_of
from orchestrator import errors

ROOT = Path(api_errors.__file__).parents[1]
OUTSIDE = {"configuration", "provider_error"}
"""Codes of errors that no request meets."""


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


def test_codes_are_documented_when_a_class_has_them() -> None:
    """Each class that has a status has a code in the table."""
    own = {kind.code for known in STATUSES for kind in subclasses(known)}

    assert set() == own - CODES.keys()


def test_codes_are_documented_when_the_source_names_them() -> None:
    """Codes that use cases and views give to single errors are in the table, too."""
    sources = [*(ROOT / "api").glob("*.py"), *(ROOT / "orchestrator").glob("*.py")]
    raised = re.compile(
        r"(?:InvalidRequest|Conflict|Forbidden|NotFound|Unsupported)\((?:[^()]|\([^()]*\))*code=\"(\w+)\""
    )
    named = {code for source in sources for code in raised.findall(source.read_text("utf-8"))}

    assert "already_finished" in named
    assert set() == named - CODES.keys() - OUTSIDE
