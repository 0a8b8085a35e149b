"""`download`: whole files, checked, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.downloads import TRIES
from tests.answering_server import Answer, AnsweringServer, answering_server, refusal
from tests.cli import VIDEO_ID, make_video, run

FILM = bytes(range(256)) * 40
SUM = sha256(FILM).hexdigest()
LINE = f"GET /api/videos/{VIDEO_ID}/download"
MP4 = {"Content-Type": "video/mp4"}


@pytest.fixture
def answering() -> Iterator[AnsweringServer]:
    """A server that has the film."""
    with answering_server() as server:
        server.answer(f"GET /api/videos/{VIDEO_ID}", finished())
        server.answer(LINE, Answer(FILM, headers=MP4))
        yield server


def finished(**changes: Any) -> dict[str, Any]:
    """A completed video."""
    return make_video(
        status="completed",
        content_type="video/mp4",
        content_bytes=len(FILM),
        content_sha256=SUM,
        **changes,
    )


def rest(start: int, **changes: Any) -> Answer:
    """The film from there on."""
    headers = {**MP4, "Content-Range": f"bytes {start}-{len(FILM) - 1}/{len(FILM)}"}
    return Answer(FILM[start:], 206, headers, **changes)


def partial(folder: Path) -> Path:
    """Where a download that broke off is kept."""
    return folder / f".{VIDEO_ID}-video-{SUM[:12]}.part"


def test_file_is_named_after_the_video_when_a_folder_is_given(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """The path is printed, and nothing else lies in the folder."""
    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    path = tmp_path / f"{VIDEO_ID}.mp4"
    assert (0, f"{path}\n") == (result.exit_code, result.stdout)
    assert FILM == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_folders_are_made_when_they_are_missing(answering: AnsweringServer, tmp_path: Path) -> None:
    """A file may be asked for anywhere; a name without a suffix is a folder."""
    for out, place in (("a/film.mp4", "a/film.mp4"), ("b/c", f"b/c/{VIDEO_ID}.mp4")):
        run("download", VIDEO_ID, "--out", str(tmp_path / out), "--url", answering.url)

        assert FILM == (tmp_path / place).read_bytes()


def test_download_goes_on_when_it_broke_off(answering: AnsweringServer, tmp_path: Path) -> None:
    """The same command asks only for the rest, within one call and over several tries."""
    answering.answer(LINE, Answer(FILM, headers=MP4, cut=4000), rest(4000, cut=1000), rest(5000))

    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert 0 == result.exit_code
    assert FILM == (tmp_path / f"{VIDEO_ID}.mp4").read_bytes()
    assert [None, "bytes=4000-", "bytes=5000-"] == [
        asked.headers["Range"] for asked in answering.asked if asked.line == LINE
    ]


def test_download_goes_on_when_an_earlier_command_broke_off(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """What lies there from before is used."""
    partial(tmp_path).write_bytes(FILM[:777])
    answering.answer(LINE, rest(777))

    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert 0 == result.exit_code
    assert FILM == (tmp_path / f"{VIDEO_ID}.mp4").read_bytes()


def test_all_is_taken_when_the_server_knows_no_ranges(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """A whole answer to a question for the rest replaces what was there."""
    partial(tmp_path).write_bytes(b"x" * 777)

    run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert FILM == (tmp_path / f"{VIDEO_ID}.mp4").read_bytes()


def test_partial_file_is_dropped_when_it_is_too_long(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Something that cannot be the beginning is not asked to be continued."""
    partial(tmp_path).write_bytes(FILM + b"more")

    run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert FILM == (tmp_path / f"{VIDEO_ID}.mp4").read_bytes()
    assert answering.asked[-1].headers["Range"] is None


def test_download_gives_up_when_it_gets_no_further(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Exit code 3, no file under the final name, and what came is kept."""
    answering.answer(LINE, rest(0, cut=100), rest(100, cut=0))

    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert 3 == result.exit_code
    assert [partial(tmp_path)] == list(tmp_path.iterdir())
    assert TRIES + 1 == answering.lines().count(LINE)


def test_nothing_is_left_when_the_bytes_are_wrong(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Bytes that do not have the server's checksum are never given out as the film."""
    answering.answer(LINE, Answer(b"!" * len(FILM), headers=MP4))

    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert 1 == result.exit_code
    assert "checksum" in result.stderr
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_fetched_when_the_file_is_there(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """A second download of the same bytes costs no transfer; a changed file is replaced."""
    path = tmp_path / "film.mp4"
    for content, transfers in ((FILM, 0), (b"old", 1)):
        path.write_bytes(content)

        result = run("download", VIDEO_ID, "--out", str(path), "--url", answering.url)

        assert 0 == result.exit_code
        assert FILM == path.read_bytes()
        assert transfers == answering.lines().count(LINE)


def test_picture_is_saved_when_a_variant_is_asked_for(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Without a checksum of its own, a picture is fetched whole."""
    webp = Answer(b"RIFF....WEBP", headers={"Content-Type": "image/webp"})
    answering.answer(f"{LINE}?variant=thumbnail", webp)

    result = run(
        *("download", VIDEO_ID, "--variant", "thumbnail", "--json"),
        *("--out", str(tmp_path), "--url", answering.url),
    )

    path = tmp_path / f"{VIDEO_ID}-thumbnail.webp"
    assert b"RIFF....WEBP" == path.read_bytes()
    assert {"id": VIDEO_ID, "variant": "thumbnail", "path": str(path)} == json.loads(result.stdout)


def test_server_says_why_when_the_video_is_not_finished(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """Exit code 4, and no file."""
    answering.answer(f"GET /api/videos/{VIDEO_ID}", make_video())
    answering.answer(LINE, Answer(refusal(409, "not_ready", "This video is queued."), 409))

    result = run("download", VIDEO_ID, "--out", str(tmp_path), "--url", answering.url)

    assert 4 == result.exit_code
    assert "Error: This video is queued. (not_ready)\n" == result.stderr
    assert [] == list(tmp_path.iterdir())


def test_place_is_named_when_it_cannot_be_written(
    answering: AnsweringServer, tmp_path: Path
) -> None:
    """A full disk or a closed folder is one line, not a traceback."""
    (tmp_path / "file").write_text("in the way")

    result = run(
        "download", VIDEO_ID, "--out", str(tmp_path / "file" / "a.mp4"), "--url", answering.url
    )

    assert 1 == result.exit_code
    assert "cannot be written" in result.stderr
    assert str(tmp_path / "file") in result.stderr
