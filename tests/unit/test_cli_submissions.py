"""`submit`, `remix` and `retry`: what they send, print, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.answering_server import Answer, AnsweringServer, answering_server, refusal
from tests.cli import VIDEO_ID, make_video, run

NEW = "POST /api/videos"
GET = f"GET /api/videos/{VIDEO_ID}"


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that takes videos."""
    with answering_server() as server:
        server.answer(NEW, Answer(make_video(), 202))
        yield server


def test_id_is_alone_on_stdout_when_a_video_was_accepted(answering: AnsweringServer) -> None:
    """A script reads the id; what a person may do next stands on stderr."""
    result = run("submit", "A red kite", "--url", answering.url)

    assert (0, f"{VIDEO_ID}\n") == (result.exit_code, result.stdout)
    assert f"orchestrator watch {VIDEO_ID}" in result.stderr
    assert {"prompt": "A red kite"} == answering.asked[0].json


def test_only_what_was_chosen_is_sent_when_options_are_given(answering: AnsweringServer) -> None:
    """Defaults are the server's; each option becomes the field of its name."""
    run(
        *("submit", "x", "--url", answering.url, "--model", "sora-2-pro", "--seconds", "8"),
        *("--size", "1280x720", "--quality", "high", "--priority", "-5"),
        *("--metadata", "project=kites", "--metadata", "a=b=c"),
        *("--run-at", "2026-11-22T18:30:00+02:00"),
    )

    sent = answering.asked[0].json
    assert "2026-11-22T16:30:00+00:00" == (
        datetime.fromisoformat(sent.pop("run_at")).astimezone(UTC).isoformat()
    )
    assert sent == {
        "prompt": "x",
        "model": "sora-2-pro",
        "seconds": "8",
        "size": "1280x720",
        "quality": "high",
        "priority": -5,
        "metadata": {"project": "kites", "a": "b=c"},
    }


def test_time_is_aware_when_it_counts_from_now(answering: AnsweringServer) -> None:
    """`+2h` is two hours from now."""
    run("submit", "x", "--url", answering.url, "--run-at", "+2h")

    moment = datetime.fromisoformat(answering.asked[0].json["run_at"])
    assert timedelta(hours=1.9) < moment - datetime.now(UTC) < timedelta(hours=2.1)


def test_prompt_is_read_when_it_is_a_dash(answering: AnsweringServer) -> None:
    """Long prompts come from a file."""
    run("submit", "-", "--url", answering.url, stdin="A kite\nand the sea\n")

    assert "A kite\nand the sea" == answering.asked[0].json["prompt"]


def test_each_creation_has_its_own_key_when_none_is_given(answering: AnsweringServer) -> None:
    """Two equal wishes are two videos; a repeated one carries the key that it was given."""
    for arguments in ((), (), ("--idempotency-key", "mine")):
        run("submit", "x", "--url", answering.url, *arguments)

    first, second, third = (asked.headers["Idempotency-Key"] for asked in answering.asked)
    assert first != second
    assert "mine" == third


def test_form_is_sent_when_there_is_a_picture(answering: AnsweringServer, tmp_path: Path) -> None:
    """The picture travels as a file, the other fields beside it as text."""
    picture = tmp_path / 'k"ite.png'
    picture.write_bytes(b"\x89PNG\r\n\x00\xff")

    run("submit", "Über", "--url", answering.url, "--image", str(picture), "--metadata", "a=b")

    asked = answering.asked[0]
    form = message_from_bytes(
        f"Content-Type: {asked.headers['Content-Type']}\r\n\r\n".encode() + asked.body
    )
    parts = {
        part.get_param("name", header="content-disposition"): part
        for part in form.walk()
        if not part.is_multipart()
    }
    assert "Über".encode() == parts["prompt"].get_payload(decode=True)
    assert b'{"a": "b"}' == parts["metadata"].get_payload(decode=True)
    assert b"\x89PNG\r\n\x00\xff" == parts["input_reference"].get_payload(decode=True)
    assert "image/png" == parts["input_reference"].get_content_type()
    assert parts["input_reference"].get_filename()


def test_wait_ends_well_when_the_video_comes(answering: AnsweringServer) -> None:
    """With --watch the exit code tells of the video, not of the request."""
    done = make_video(status="completed", progress=100, seq=3)
    answering.answer(GET, make_video(status="in_progress", seq=2), done)

    result = run("submit", "x", "--url", answering.url, "--watch")

    assert (0, f"{VIDEO_ID}\n") == (result.exit_code, result.stdout)
    assert f"{VIDEO_ID} in_progress\n{VIDEO_ID} completed\n" == result.stderr


def test_reason_is_told_when_the_video_fails(answering: AnsweringServer) -> None:
    """Exit code 1 and the video's own error."""
    answering.answer(GET, make_video(status="failed", error_message="Blocked."))

    result = run("submit", "x", "--url", answering.url, "--watch")

    assert 1 == result.exit_code
    assert f"Error: {VIDEO_ID} failed: Blocked.\n" in result.stderr


def test_last_state_is_printed_when_json_is_watched(answering: AnsweringServer) -> None:
    """With --json, stdout is one document."""
    answering.answer(GET, make_video(status="cancelled"))

    result = run("submit", "x", "--url", answering.url, "--watch", "--json")

    assert 1 == result.exit_code
    assert '"status": "cancelled"' in result.stdout
    assert result.stdout.startswith("{")


def test_server_decides_when_the_request_breaks_a_rule(answering: AnsweringServer) -> None:
    """The server's words and exit code 4."""
    problem = refusal(400, "invalid_value", "seconds must be one of 4, 8, 12.", param="seconds")
    answering.answer(NEW, Answer(problem, 400))

    result = run("submit", "x", "--url", answering.url, "--seconds", "5")

    assert 4 == result.exit_code
    assert "Error: seconds must be one of 4, 8, 12. (invalid_value)\n" == result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "x", "--priority", "101"),
        ("submit", "x", "--metadata", "kites"),
        ("submit", "x", "--metadata", "=kites"),
        ("submit", "x", "--run-at", "soon"),
        ("submit", "x", "--image", "/nowhere/at/all.png"),
        ("remix", VIDEO_ID),
        ("retry",),
    ],
)
def test_nothing_is_sent_when_the_usage_is_wrong(
    answering: AnsweringServer, arguments: tuple[str, ...]
) -> None:
    """Exit code 2, and the server is left alone."""
    result = run(*arguments, env={"ORCHESTRATOR_URL": answering.url})

    assert 2 == result.exit_code
    assert [] == answering.asked


@pytest.mark.parametrize(
    ("command", "body"),
    [(("remix", VIDEO_ID, "At night"), {"prompt": "At night"}), (("retry", VIDEO_ID), None)],
)
def test_new_video_is_made_when_one_is_varied_or_retried(
    answering: AnsweringServer, command: tuple[str, ...], body: object
) -> None:
    """Both create, so both carry a key."""
    line = f"POST /api/videos/{VIDEO_ID}/{command[0]}"
    answering.answer(line, Answer(make_video(id="video_new"), 202))

    result = run(*command, "--url", answering.url)

    assert "video_new\n" == result.stdout
    assert answering.asked[0].headers["Idempotency-Key"]
    assert body == (answering.asked[0].json if answering.asked[0].body else None)
