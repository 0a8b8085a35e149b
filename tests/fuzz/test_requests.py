"""Requests that the OpenAPI document allows, and such that it does not, at every operation: no
answer is a 5xx, and none is unannounced in its status, type, headers or body.

FUZZ_SEED draws others, FUZZ_EXAMPLES more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume
from schemathesis import Case
from schemathesis.core.failures import FailureGroup

from tests.fuzz.contract import DOOR, SCHEMA, check, sendable
from tests.fuzz.stage import Stage

NEVER = {
    "POST /v1/videos/characters",
    "GET /v1/videos/characters",
    "GET /v1/videos/characters/{character_id}",
    "POST /webhooks/{provider}",  # it would have to be signed
}
"""Operations that nothing drawn can succeed at."""


@pytest.fixture
def tried(opened: Stage, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The stage. Requests that never succeed have not tried much: that must not go unseen."""
    yield opened

    label = request.node.name.partition("[")[2].removesuffix("]")
    succeeded = any(status < 400 for status in opened.statuses)
    assert succeeded != (label in NEVER), f"{label}: only {sorted(opened.statuses)}"


@SCHEMA.parametrize()
def test_answers_are_announced_when_asked(case: Case, tried: Stage) -> None:
    """Whatever is asked."""
    assume(sendable(case))

    response = tried.ask(case)

    check(case, response, tried.headers(case))


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (500, "application/problem+json", b"{}"),
        (418, "application/json", b"{}"),
        (200, "text/plain", b"ok"),
        (200, "application/json", b'{"status": "fine"}'),
    ],
)
def test_lies_are_found_when_answers_are_checked(
    opened: Stage, status: int, kind: str, body: bytes
) -> None:
    """A status, a type or a body that is not announced does not pass."""

    def liar(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response(f"{status} So", [("Content-Type", kind)])
        return [body]

    DOOR.app = liar
    case = SCHEMA["/healthz"]["GET"].Case()
    response = case.call()

    with pytest.raises(FailureGroup):
        check(case, response, {})
