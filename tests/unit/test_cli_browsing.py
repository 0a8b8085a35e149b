"""`list` and `show`: what is asked for, and what is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.answering_server import Answer, AnsweringServer, refusal
from tests.cli import VIDEO_ID, make_video, run

FIRST = "GET /api/videos?limit=20&archived=false"


def page(*videos: dict[str, Any], next_cursor: str | None = None) -> dict[str, Any]:
    """One page of a list."""
    return {"data": list(videos), "next_cursor": next_cursor}


def test_ids_are_whole_when_the_list_is_shown(answering: AnsweringServer) -> None:
    """A line for each video; its id can be copied, its prompt is cut to the line."""
    long = make_video(prompt="A red kite " * 100, status="failed", finished_at="x", cost_actual=0.2)
    answering.answer(FIRST, page(make_video(), long))

    result = run("list", "--url", answering.url)

    heading, first, second = result.stdout.splitlines()
    columns = ["ID", "STATUS", "%", "CREATED", "MODEL", "LENGTH", "SIZE", "COST", "PROMPT"]
    assert columns == heading.split()
    assert first.startswith(f"{VIDEO_ID}  queued")
    assert ["$0.40", "A", "red", "kite"] == first.split()[-4:]
    assert "failed" in second
    assert "$0.20" in second
    assert second.rstrip().endswith("…")
    assert "\x1b" not in result.stdout


def test_stdout_is_empty_when_there_are_no_videos(answering: AnsweringServer) -> None:
    """Nothing is not an error."""
    answering.answer(FIRST, page())

    result = run("list", "--url", answering.url)

    assert (0, "", "No videos.\n") == (result.exit_code, result.stdout, result.stderr)


def test_prompt_is_harmless_when_it_holds_commands(answering: AnsweringServer) -> None:
    """A prompt can neither command the terminal nor style the table."""
    answering.answer(FIRST, page(make_video(prompt="\x1b[2J\rgone\x9b[bold]x[/bold]")))

    result = run("list", "--url", answering.url)

    assert " [2J gone [bold]x[/bold]" in result.stdout
    assert not {"\x1b", "\r", "\x9b"} & set(result.stdout)


def test_filters_are_sent_when_they_are_given(answering: AnsweringServer) -> None:
    """Each option is one parameter; times gain a zone."""
    run(
        *("list", "--url", answering.url, "--status", "queued", "--status", "failed"),
        *("--model", "sora-2", "--text", "red kite", "--archived", "any", "--limit", "5"),
        *("--after", "2026-11-01T00:00:00Z"),
    )

    line = answering.lines()[0]
    assert "status=queued&status=failed" in line
    assert "model=sora-2" in line
    assert "q=red+kite" in line
    assert "archived=any" in line
    assert "limit=5" in line
    assert "created_after=2026-11-01T" in line


def test_pages_are_joined_when_all_are_wanted(answering: AnsweringServer) -> None:
    """The cursor is followed to the end, with the same filters."""
    line = "GET /api/videos?limit=100&archived=false"
    answering.answer(line, page(make_video(id="video_a"), next_cursor="c 1"))
    follow_up = "GET /api/videos?limit=100&cursor=c+1&archived=false"
    answering.answer(follow_up, page(make_video(id="video_b")))

    result = run("list", "--all", "--json", "--url", answering.url)

    document = json.loads(result.stdout)
    assert ["video_a", "video_b"] == [video["id"] for video in document["data"]]
    assert document["has_more"] is False


def test_rest_is_mentioned_when_there_is_more(answering: AnsweringServer) -> None:
    """A list that was cut says so."""
    answering.answer("GET /api/videos?limit=1&archived=false", page(make_video(), next_cursor="c"))

    result = run("list", "--limit", "1", "--url", answering.url)

    assert 2 == len(result.stdout.splitlines())
    assert "There are more" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--status", "done"), ("--limit", "0"), ("--after", "yesterday"), ("--archived", "maybe")],
)
def test_nothing_is_asked_when_a_filter_cannot_be(
    answering: AnsweringServer, arguments: tuple[str, str]
) -> None:
    """Exit code 2, with the name of the option."""
    result = run("list", *arguments, "--url", answering.url)

    assert 2 == result.exit_code
    assert arguments[0] in result.stderr
    assert [] == answering.asked


def test_details_and_events_are_shown_when_one_is_asked_for(answering: AnsweringServer) -> None:
    """What is set is shown, then the history in its order."""
    video = make_video(
        status="failed", error_message="It was [refused].", metadata={"project": "kites"}
    )
    answering.answer(f"GET /api/videos/{VIDEO_ID}", video)
    answering.answer(f"GET /api/videos/{VIDEO_ID}/events", {"data": events()})

    result = run("show", VIDEO_ID, "--url", answering.url)

    assert 0 == result.exit_code
    for text in ("failed, 0 %", "It was [refused].", "project = kites", "$0.40 (reserved)"):
        assert text in result.stdout
    assert "retry_of" not in result.stdout
    assert result.stdout.index("created  ") < result.stdout.index("downloaded")
    assert "ip=127.0.0.1" in result.stdout


def test_events_are_a_member_when_json_is_wanted(answering: AnsweringServer) -> None:
    """One document holds the video and its history."""
    answering.answer(f"GET /api/videos/{VIDEO_ID}", make_video())
    answering.answer(f"GET /api/videos/{VIDEO_ID}/events", {"data": events()})

    result = run("show", VIDEO_ID, "--json", "--url", answering.url)

    document = json.loads(result.stdout)
    assert (VIDEO_ID, 2) == (document["id"], len(document["events"]))


def test_refusal_is_told_when_the_video_is_not_there(answering: AnsweringServer) -> None:
    """Exit code 4 and the server's words; nothing on stdout."""
    problem = refusal(404, "not_found", "There is no such video.")
    answering.answer(f"GET /api/videos/{VIDEO_ID}", Answer(problem, 404))

    result = run("show", VIDEO_ID, "--url", answering.url)

    assert (4, "") == (result.exit_code, result.stdout)
    assert "Error: There is no such video. (not_found)\n" == result.stderr


def events() -> list[dict[str, Any]]:
    """A history with a numbered and an audit event."""
    return [
        {
            "seq": 1,
            "event_type": "created",
            "event_data": {"model": "sora-2", "size": None},
            "created_at": "2026-11-22T10:00:00.000Z",
        },
        {
            "seq": None,
            "event_type": "downloaded",
            "event_data": {"ip": "127.0.0.1"},
            "created_at": "2026-11-22T11:00:00.000Z",
        },
    ]
