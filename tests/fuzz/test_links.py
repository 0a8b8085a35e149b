"""The links of the OpenAPI document: what was made can be used until it is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from schemathesis import GenerationMode

from tests.fuzz.contract import SCHEMA, check
from tests.fuzz.stage import Stage

OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
BY_ID = {one.definition.raw["operationId"]: one for one in OPERATIONS.values()}
TRIES = settings(
    max_examples=300,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def _links(operation: Any) -> Iterator[Any]:
    """Where an operation's success leads; what deletes comes last. What needs a body is not asked
    without one.
    """
    names = {
        name
        for response in operation.definition.raw["responses"].values()
        for name in response.get("links", ())
    }
    targets = (BY_ID[name] for name in sorted(names))
    bare = (one for one in targets if "requestBody" not in one.definition.raw)
    yield from sorted(bare, key=lambda one: one.method == "delete")


MAKERS = {label: list(_links(one)) for label, one in OPERATIONS.items() if list(_links(one))}


def _make(stage: Stage, label: str) -> str:
    """The id of something that this operation made, of the first request that it accepts."""
    ids: list[str] = []

    def accepted(case: Any) -> bool:
        response = stage.ask(case)
        if response.status_code < 300:
            ids.append(str(json.loads(response.content)["id"]))
        return response.status_code < 300

    valid = OPERATIONS[label].as_strategy(generation_mode=GenerationMode.POSITIVE)
    find(valid, accepted, settings=TRIES)
    return ids[-1]


def _ask(stage: Stage, operation: Any, value: str) -> int:
    (name,) = (one.name for one in operation.path_parameters)
    case = operation.Case(path_parameters={name: value})
    response = stage.ask(case)
    check(case, response, stage.headers(case))
    return int(response.status_code)


def test_operations_link_on_when_they_make_something() -> None:
    """Videos of both kinds, endpoints, deliveries and keys."""
    assert {"POST /api/videos", "POST /v1/videos", "POST /api/admin/keys"} < MAKERS.keys()
    assert 8 <= len(MAKERS)


@pytest.mark.parametrize("label", sorted(MAKERS))
def test_things_can_be_used_when_made_until_they_are_deleted(opened: Stage, label: str) -> None:
    """Every link finds what was made; after one that deletes it, the last, none does."""
    made = _make(opened, label)

    before = {one.label: _ask(opened, one, made) for one in MAKERS[label]}
    after = {one.label: _ask(opened, one, made) for one in MAKERS[label] if one.method == "get"}

    deleted = any(one.method == "delete" for one in MAKERS[label])
    missing = [label for label, status in before.items() if status == 404]
    assert set() == set(missing) - {"GET /v1/videos/{video_id}/content"}  # 404 until it is ready
    assert {404 if deleted else 200} >= set(after.values())
