"""`cancel`, `archive` and `delete`, one or many."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.answering_server import Answer, AnsweringServer, answering_server, refusal
from tests.cli import make_video, run


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that knows video_a."""
    with answering_server() as server:
        cancelled = make_video(id="video_a", status="cancelled", cost_actual=0.4)
        server.answer("POST /api/videos/video_a/cancel", cancelled)
        put_away = make_video(id="video_a", archived_at="2026-11-22T10:00:00.000Z")
        server.answer("POST /api/videos/video_a/archive", put_away)
        server.answer("POST /api/videos/video_a/unarchive", make_video(id="video_a"))
        server.answer("DELETE /api/videos/video_a", make_video(id="video_a", status="deleted"))
        yield server


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("cancel",), "video_a cancelled, charged $0.40"),
        (("archive",), "video_a archived"),
        (("archive", "--undo"), "video_a not archived"),
        (("delete",), "video_a deleted"),
    ],
)
def test_outcome_is_told_when_a_video_is_changed(
    answering: AnsweringServer, command: tuple[str, ...], told: str
) -> None:
    """One request, one line."""
    result = run(*command, "video_a", "--url", answering.url)

    assert (0, f"{told}\n") == (result.exit_code, result.stdout)
    assert 1 == len(answering.asked)


def test_deletion_is_told_when_the_answer_is_empty(answering: AnsweringServer) -> None:
    """A server may answer 204."""
    answering.answer("DELETE /api/videos/video_b", Answer(status=204))

    result = run("delete", "video_b", "--url", answering.url)

    assert "video_b deleted\n" == result.stdout


def test_others_are_changed_when_one_is_refused(answering: AnsweringServer) -> None:
    """Each refusal is named; the exit code tells that there was one."""
    problem = refusal(409, "already_finished", "It is completed already.")
    answering.answer("POST /api/videos/video_b/cancel", Answer(problem, 409))

    result = run("cancel", "video_b", "video_a", "--json", "--url", answering.url)

    assert 4 == result.exit_code
    assert ["video_a"] == [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert "video_b: It is completed already. (already_finished)\n" == result.stderr


def test_refusal_is_the_error_when_there_is_only_one(answering: AnsweringServer) -> None:
    """The usual one line."""
    result = run("cancel", "video_x", "--url", answering.url)

    assert 4 == result.exit_code
    assert "Error: There is no such thing here. (not_found)\n" == result.stderr
