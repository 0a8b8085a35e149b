"""`watch`: patience, and what it says meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.cli.client import TRIES, Clock, Server
from orchestrator.cli.errors import Refused, Unreachable
from orchestrator.cli.watching import LONGEST_PAUSE, PATIENCE, follow
from tests.answering_server import Answer, AnsweringServer
from tests.cli import VIDEO_ID, FakeTime, make_video, run

LINE = f"GET /api/videos/{VIDEO_ID}"
AWAY = Answer(cut=-1)


@pytest.fixture
def server(answering: AnsweringServer, time: FakeTime) -> Iterator[Server]:
    """A client of that server."""
    with Server(answering.url, clock=time.clock) as client:
        yield client


def running(progress: int = 0) -> dict[str, Any]:
    """A video on its way."""
    return make_video(status="in_progress", progress=progress, seq=2 + progress)


def test_pauses_grow_when_nothing_changes(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """A long video is not asked for every second, and a change brings the attention back."""
    answering.answer(LINE, *[running()] * 12, running(50), make_video(status="completed"))

    follow(server, [VIDEO_ID])

    assert 1.0 == time.slept[0]
    assert LONGEST_PAUSE == max(time.slept) == time.slept[-2]
    assert 1.0 == time.slept[-1]


def test_finished_videos_are_left_alone_when_others_go_on(
    answering: AnsweringServer, server: Server
) -> None:
    """Each is asked for until its own end; the answer has the order of the question."""
    answering.answer(LINE, make_video(status="failed"))
    slow = make_video(id="video_b", status="in_progress")
    answering.answer("GET /api/videos/video_b", slow, {**slow, "status": "completed"})

    videos = follow(server, ["video_b", VIDEO_ID, "video_b"])

    assert [("video_b", "completed"), (VIDEO_ID, "failed")] == [
        (video["id"], video["status"]) for video in videos
    ]
    assert 1 == answering.lines().count(LINE)


def test_watch_goes_on_when_the_server_restarts(
    answering: AnsweringServer, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    """A server that is away for a while is waited for, and that is said once."""
    answering.answer(LINE, running(), *[AWAY] * (3 * TRIES), make_video(status="completed"))

    videos = follow(server, [VIDEO_ID])

    assert "completed" == videos[0]["status"]
    assert 1 == capsys.readouterr().err.count("does not answer; trying on")


def test_watch_ends_when_the_server_does_not_come_back(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """A script does not hang for ever."""
    answering.answer(LINE, running(), AWAY)

    with pytest.raises(Unreachable):
        follow(server, [VIDEO_ID])

    assert PATIENCE <= sum(time.slept) < 2 * PATIENCE


def test_watch_does_not_begin_when_the_server_is_away(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """A wrong address is told at once."""
    answering.answer(LINE, AWAY)

    with pytest.raises(Unreachable):
        follow(server, [VIDEO_ID])

    assert TRIES == len(answering.asked)


def test_watch_is_refused_when_there_is_no_such_video(server: Server) -> None:
    """A mistyped id is no reason to wait."""
    with pytest.raises(Refused):
        follow(server, ["nope"])


def test_way_back_is_told_when_it_is_interrupted(answering: AnsweringServer) -> None:
    """Ctrl-C leaves the videos alone, says how to go on, and exits as interrupted programs do."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    answering.answer(LINE, running())

    result = CliRunner().invoke(
        main, ["watch", VIDEO_ID, "--url", answering.url], obj=Clock(sleep=interrupt)
    )

    assert 130 == result.exit_code
    assert f"orchestrator watch {VIDEO_ID}" in result.stderr


def test_lines_of_json_are_printed_when_scripts_watch(answering: AnsweringServer) -> None:
    """Each video is a line; one that did not come decides the exit code."""
    answering.answer(LINE, make_video(status="completed"))
    answering.answer("GET /api/videos/video_b", make_video(id="video_b", status="cancelled"))

    result = run("watch", VIDEO_ID, "video_b", "--json", "--url", answering.url)

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["completed", "cancelled"] == [video["status"] for video in found]
    assert 1 == result.exit_code
    assert "Error: video_b cancelled.\n" in result.stderr


def test_several_videos_need_a_folder_when_they_are_saved(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Two films cannot become one file."""
    result = run(
        "watch", "video_a", "video_b", "--out", str(tmp_path / "a.mp4"), "--url", answering.url
    )

    assert 2 == result.exit_code
    assert [] == answering.asked
