"""`webhooks`: endpoints, their secrets, and what was told to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.answering_server import Answer, AnsweringServer, answering_server
from tests.cli import VIDEO_ID, run

ID = "we_0123456789abcdef0123456789abcdef"
ENDPOINTS = "/api/webhooks/endpoints"
DELIVERIES = "/api/webhooks/deliveries"


def endpoint(**changes: Any) -> dict[str, Any]:
    """An endpoint as the server shows it."""
    return {
        "object": "webhook_endpoint",
        "id": ID,
        "user_id": "alice",
        "url": "https://example.com/hook",
        "events": ["video.completed", "video.failed"],
        "description": None,
        "created_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:00:00.000Z",
        "disabled_at": None,
        "disabled_reason": None,
        "failing_since": None,
        "previous_secret_until": None,
        **changes,
    }


def delivery(**changes: Any) -> dict[str, Any]:
    """A delivery as the server shows it."""
    return {
        "object": "webhook_delivery",
        "id": 7,
        "webhook_id": "evt_481",
        "endpoint_id": ID,
        "url": None,
        "video_id": VIDEO_ID,
        "type": "video.completed",
        "state": "delivered",
        "attempts": 1,
        "created_at": "2026-11-22T10:00:00.000Z",
        "due_at": None,
        "last_attempt_at": "2026-11-22T10:00:00.000Z",
        "delivered_at": "2026-11-22T10:00:00.000Z",
        "status_code": 204,
        "response": "",
        "error": None,
        **changes,
    }


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server with one endpoint and one delivery."""
    with answering_server() as server:
        secret = {"secret": "whsec_new"}
        server.answer(f"GET {ENDPOINTS}", {"data": [endpoint()]})
        server.answer(f"POST {ENDPOINTS}", Answer(endpoint() | secret, 201))
        for method in ("GET", "PATCH", "DELETE"):
            server.answer(f"{method} {ENDPOINTS}/{ID}", endpoint())
        server.answer(f"POST {ENDPOINTS}/{ID}/rotate", endpoint() | secret)
        server.answer(f"POST {ENDPOINTS}/{ID}/replay", Answer({"queued": 12}, 202))
        server.answer("GET /api/webhooks/secret", {"secret": "whsec_single"})
        server.answer("POST /api/webhooks/secret/rotate", secret)
        server.answer(f"GET {DELIVERIES}?limit=20", {"data": [delivery()], "next_cursor": None})
        for number in (7, 8):
            again = delivery(id=number, state="pending")
            server.answer(f"POST {DELIVERIES}/{number}/resend", Answer(again, 202))
        yield server


def webhooks(answering: AnsweringServer, *arguments: str) -> Any:
    """Run `orchestrator webhooks …` against this server."""
    return run("webhooks", *arguments, "--url", answering.url)


def test_secret_is_alone_on_stdout_when_an_endpoint_is_added(answering: AnsweringServer) -> None:
    """A script can keep it; whom it belongs to is said beside."""
    result = webhooks(
        answering,
        *("add", "https://example.com/hook", "--event", "video.failed", "--event", "video.held"),
        *("--description", "the shop"),
    )

    assert (0, "whsec_new\n") == (result.exit_code, result.stdout)
    assert ID in result.stderr
    assert {
        "url": "https://example.com/hook",
        "events": ["video.failed", "video.held"],
        "description": "the shop",
    } == answering.asked[0].json


@pytest.mark.parametrize("arguments", [("add", "https://e.com"), ("rotate", ID)])
def test_nothing_is_asked_twice_when_no_answer_came(
    answering: AnsweringServer, arguments: tuple[str, ...]
) -> None:
    """A second endpoint, or a second rotation that forgets the old secret, would do harm."""
    for line in (f"POST {ENDPOINTS}", f"POST {ENDPOINTS}/{ID}/rotate"):
        answering.answer(line, Answer(cut=-1))

    result = webhooks(answering, *arguments)

    assert 3 == result.exit_code
    assert 1 == len(answering.asked)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "well"),
        ({"failing_since": "2020-01-01T00:00:00.000Z"}, "failing for"),
        (
            {"disabled_at": "2026-11-22T10:00:00.000Z", "disabled_reason": "it answered 410"},
            "disabled: it answered 410",
        ),
    ],
)
@pytest.mark.parametrize("arguments", [("list",), ("show", ID)])
def test_state_is_shown_when_endpoints_are(
    answering: AnsweringServer,
    arguments: tuple[str, ...],
    changes: dict[str, Any],
    shown: str,
) -> None:
    """Whether it is well, and if not, why."""
    one = endpoint(description="\x1b[31mred", **changes)
    answering.answer(f"GET {ENDPOINTS}", {"data": [one]})
    answering.answer(f"GET {ENDPOINTS}/{ID}", one)

    result = webhooks(answering, *arguments)

    assert 0 == result.exit_code
    assert shown in result.stdout
    assert "https://example.com/hook" in result.stdout
    assert "\x1b" not in result.stdout


def test_list_says_so_when_there_is_none(answering: AnsweringServer) -> None:
    """And nothing is on stdout."""
    answering.answer(f"GET {ENDPOINTS}", {"data": []})

    result = webhooks(answering, "list")

    assert (0, "") == (result.exit_code, result.stdout)
    assert "webhooks add" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (("update", ID, "--to", "https://e.com/"), {"url": "https://e.com/"}),
        (("update", ID, "--event", "video.held"), {"events": ["video.held"]}),
        (("update", ID, "--description", "none"), {"description": None}),
        (("enable", ID), {"disabled": False}),
        (("disable", ID), {"disabled": True}),
    ],
)
def test_only_what_was_chosen_is_changed_when_options_are_given(
    answering: AnsweringServer, arguments: tuple[str, ...], changes: dict[str, Any]
) -> None:
    """And the endpoint is shown as it is then."""
    result = webhooks(answering, *arguments, "--json")

    assert [f"PATCH {ENDPOINTS}/{ID}"] == answering.lines()
    assert changes == answering.asked[0].json
    assert endpoint() == json.loads(result.stdout)


def test_endpoints_are_removed_when_several_are_named(answering: AnsweringServer) -> None:
    """Each is said; an odd id stays one step of the path."""
    answering.answer(f"DELETE {ENDPOINTS}/a%2F..%2Fb", endpoint(id="odd"))

    result = webhooks(answering, "remove", ID, "a/../b")

    assert f"{ID} is removed.\nodd is removed.\n" == result.stdout


@pytest.mark.parametrize(
    ("arguments", "secret", "body"),
    [
        (("rotate", ID, "--overlap-hours", "1.5"), "whsec_new", {"overlap_hours": 1.5}),
        (("secret",), "whsec_single", None),
        (("secret", "--rotate"), "whsec_new", {"overlap_hours": 24.0}),
    ],
)
def test_secret_is_alone_on_stdout_when_asked_for(
    answering: AnsweringServer,
    arguments: tuple[str, ...],
    secret: str,
    body: dict[str, Any] | None,
) -> None:
    """Of an endpoint, and of single videos."""
    result = webhooks(answering, *arguments)

    assert (0, f"{secret}\n") == (result.exit_code, result.stdout)
    assert body == (answering.asked[0].json if answering.asked[0].body else None)


def test_ping_waits_until_the_receiver_has_answered(answering: AnsweringServer) -> None:
    """What it said is the result."""
    new = delivery(type="endpoint.ping", state="pending", attempts=0, video_id=None)
    answering.answer(f"POST {ENDPOINTS}/{ID}/ping", Answer(new, 202))
    answering.answer(f"GET {DELIVERIES}/7", new, new, delivery(type="endpoint.ping"))

    result = webhooks(answering, "ping", ID)

    assert (0, "evt_481 was answered 204.\n") == (result.exit_code, result.stdout)
    assert 4 == len(answering.asked)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attempts": 1, "error": "HTTP 500", "status_code": 500}, "HTTP 500"),
        ({"attempts": 0}, "does a worker run?"),
    ],
)
def test_ping_fails_when_the_receiver_does_not_take_it(
    answering: AnsweringServer, changes: dict[str, Any], said: str
) -> None:
    """With what is known of the reason; nobody waits for ever."""
    new = delivery(**{"state": "pending", "status_code": None, **changes})
    answering.answer(f"POST {ENDPOINTS}/{ID}/ping", Answer(new, 202))
    answering.answer(f"GET {DELIVERIES}/7", new)

    result = webhooks(answering, "ping", ID)

    assert (1, "") == (result.exit_code, result.stdout)
    assert said in result.stderr


def test_deliveries_are_listed_when_filtered(answering: AnsweringServer) -> None:
    """What they were about, to whom, and how that went."""
    failed = delivery(state="failed", status_code=500, error="HTTP 500")
    line = f"GET {DELIVERIES}?limit=5&type=video.failed&endpoint_id={ID}&video_id=v&state=failed"
    answering.answer(line, {"data": [failed], "next_cursor": None})

    result = webhooks(
        answering,
        *("deliveries", "--type", "video.failed", "--endpoint", ID, "--video", "v"),
        *("--state", "failed", "--limit", "5"),
    )

    assert 0 == result.exit_code, answering.lines()
    for word in ("7", VIDEO_ID, "video.completed", "failed", "HTTP 500"):
        assert word in result.stdout


def test_pages_are_joined_when_many_deliveries_are_asked_for(answering: AnsweringServer) -> None:
    """The cursor of each page leads to the next; whether there are more is said."""
    first = [delivery(id=n) for n in range(2000, 1000, -1)]
    line = f"GET {DELIVERIES}?limit=1000"
    answering.answer(line, {"data": first, "next_cursor": "1001"})
    second = {"data": [delivery(id=1000)], "next_cursor": "1000"}
    answering.answer(f"GET {DELIVERIES}?limit=1&before=1001", second)

    result = webhooks(answering, "deliveries", "--limit", "1001", "--json")

    found = json.loads(result.stdout)
    assert (1001, True) == (len(found["data"]), found["has_more"])


def test_messages_are_sent_again_when_named(answering: AnsweringServer) -> None:
    """One line each."""
    result = webhooks(answering, "resend", "7", "8")

    assert "7 evt_481 pending\n8 evt_481 pending\n" == result.stdout


def test_time_is_replayed_when_asked_for(answering: AnsweringServer) -> None:
    """From then to before then; without an end until now."""
    result = webhooks(
        answering, "replay", ID, "--since", "2026-11-20T00:00Z", "--until", "2026-11-21T00:00Z"
    )
    webhooks(answering, "replay", ID, "--since", "-2h")

    assert "12 messages wait to be sent.\n" == result.stdout
    assert {"since", "until"} == set(answering.asked[1].json)
    begins = answering.asked[0].json
    assert ("2026-11-20", "2026-11-21") == (begins["since"][:10], begins["until"][:10])


@pytest.mark.parametrize(
    "arguments",
    [
        ("add",),
        ("add", "https://e.com", "--event", "video.exploded"),
        ("update", ID),
        ("remove",),
        ("rotate", ID, "--overlap-hours", "200"),
        ("resend", "first"),
        ("replay", ID),
        ("deliveries", "--state", "sent"),
    ],
)
def test_nothing_is_sent_when_the_usage_is_wrong(
    answering: AnsweringServer, arguments: tuple[str, ...]
) -> None:
    """And the exit code says so."""
    result = webhooks(answering, *arguments)

    assert 2 == result.exit_code
    assert [] == answering.asked
