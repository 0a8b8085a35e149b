"""`resolve` and `providers`: what only operators decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.answering_server import AnsweringServer, answering_server
from tests.cli import make_video, run

ID = "video_019ad0d2f7b17cc1b8d2bd7b6f2c9a10"
PROVIDER: dict[str, Any] = {
    "name": "default",
    "profile": "litellm",
    "in_flight": 2,
    "max_in_flight": 3,
    "admitted": 0,
    "paused": True,
    "paused_until": None,
    "pause_reason": "invoice",
}


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server with one held video and one paused provider."""
    held = make_video(id=ID, hold_reason="outcome_unknown")
    held["attempt"] = {
        "provider": "default",
        "sent_at": "2026-11-22T10:00:00.000Z",
        "error": "ReadTimeout",
    }
    with answering_server() as server:
        server.answer("GET /api/admin/held", {"data": [held]})
        server.answer(f"POST /api/admin/held/{ID}", make_video(id=ID, status="in_progress"))
        server.answer("GET /api/admin/providers", {"data": [PROVIDER]})
        for act in ("pause", "resume"):
            server.answer(f"POST /api/admin/providers/default/{act}", {"data": [PROVIDER]})
        yield server


def test_held_videos_are_listed_when_none_is_named(answering: AnsweringServer) -> None:
    """With what is known of the submission that nobody can account for."""
    result = run("resolve", "--url", answering.url)

    assert 0 == result.exit_code
    assert ID in result.stdout
    assert "outcome_unknown" in result.stdout
    assert "ReadTimeout" in result.stdout


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (("--adopt", "video_abc"), {"decision": "adopt", "provider_video_id": "video_abc"}),
        (("--retry",), {"decision": "retry"}),
        (("--fail",), {"decision": "fail"}),
    ],
)
def test_decision_is_sent_when_a_video_is_named(
    answering: AnsweringServer, options: tuple[str, ...], sent: dict[str, str]
) -> None:
    """Exactly the one that was made."""
    result = run("resolve", ID, *options, "--url", answering.url)

    assert 0 == result.exit_code
    assert sent == answering.asked[-1].json


def test_answer_says_that_an_id_is_looked_up_when_it_was_adopted(
    answering: AnsweringServer,
) -> None:
    """It counts when the provider has shown a video under it, not before."""
    looked_up = make_video(id=ID, status="queued", hold_reason="adopting")
    answering.answer(f"POST /api/admin/held/{ID}", looked_up)

    result = run("resolve", ID, "--adopt", "video_abc", "--url", answering.url)

    assert f"{ID} queued, adopting\n" == result.stdout


@pytest.mark.parametrize("options", [(), ("--retry", "--fail")])
def test_nothing_is_sent_when_the_decision_is_not_one(
    answering: AnsweringServer, options: tuple[str, ...]
) -> None:
    """A decision that costs money is never guessed."""
    result = run("resolve", ID, *options, "--url", answering.url)

    assert 2 == result.exit_code
    assert [] == answering.lines()


def test_pause_is_explained_when_providers_are_shown(answering: AnsweringServer) -> None:
    """Slots in use, and why nothing is submitted."""
    result = run("providers", "--url", answering.url)

    assert "2 of 3" in result.stdout
    assert "paused until resumed: invoice" in result.stdout


def test_reason_is_sent_when_a_provider_is_paused(answering: AnsweringServer) -> None:
    """Other operators will want to know."""
    run("providers", "--pause", "default", "--reason", "invoice", "--url", answering.url)

    assert {"reason": "invoice"} == answering.asked[-1].json
