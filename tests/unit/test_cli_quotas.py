"""`quota`: one's own, and others' for admins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.answering_server import AnsweringServer, answering_server
from tests.cli import run

QUOTA: dict[str, Any] = {
    "user_id": "alice",
    "used": 3,
    "limit": 100,
    "remaining": 97,
    "reset_at": "2026-12-01T00:00:00.000Z",
    "cost_used": 1.2,
    "cost_limit": None,
    "max_in_flight": None,
    "weight": 1.0,
}


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that answers every question about a quota with one."""
    with answering_server() as server:
        server.answer("GET /api/quota", QUOTA)
        for user in ("alice", "a%2Fb%20c"):
            server.answer(f"GET /api/users/{user}/quota", QUOTA)
            server.answer(f"PUT /api/users/{user}/quota", QUOTA)
            server.answer(f"POST /api/users/{user}/quota/reset", QUOTA)
        yield server


def test_own_quota_is_shown_when_nobody_is_named(answering: AnsweringServer) -> None:
    """In words, and without limits that do not exist."""
    result = run("quota", "--url", answering.url)

    assert 0 == result.exit_code
    shown = [line.rstrip() for line in result.stdout.splitlines()]
    assert "videos   3 of 100, 97 left" in shown
    assert "spend    $1.20" in shown
    assert "at once  no limit" in shown


def test_only_what_was_chosen_is_changed_when_options_are_given(
    answering: AnsweringServer,
) -> None:
    """`none` takes a limit away; options that are missing change nothing."""
    run(
        *("quota", "alice", "--url", answering.url, "--limit", "5", "--cost-limit", "none"),
        *("--max-in-flight", "3"),
    )

    assert ["PUT /api/users/alice/quota"] == answering.lines()
    changes = {"videos_limit": 5, "cost_limit": None, "max_in_flight": 3}
    assert changes == answering.asked[0].json


def test_change_comes_first_when_the_month_is_reset_too(answering: AnsweringServer) -> None:
    """The quota that is printed is the last state."""
    result = run(
        *("quota", "alice", "--weight", "2.5", "--reset", "--json", "--url", answering.url)
    )

    assert ["PUT /api/users/alice/quota", "POST /api/users/alice/quota/reset"] == answering.lines()
    assert QUOTA == json.loads(result.stdout)


def test_user_stays_one_step_of_the_path_when_the_id_is_odd(answering: AnsweringServer) -> None:
    """Ids of users are the callers' own texts."""
    run("quota", "a/b c", "--url", answering.url)

    assert ["GET /api/users/a%2Fb%20c/quota"] == answering.lines()


@pytest.mark.parametrize(
    "arguments",
    [("--limit", "5"), ("--reset",), ("alice", "--limit", "many"), ("alice", "--cost-limit", "x")],
)
def test_nothing_is_sent_when_the_usage_is_wrong(
    answering: AnsweringServer, arguments: tuple[str, ...]
) -> None:
    """A change needs a name, and a number is a number."""
    result = run("quota", *arguments, "--url", answering.url)

    assert 2 == result.exit_code
    assert [] == answering.asked
