"""Looks become files that anybody can play."""

from __future__ import annotations

import io

import av
import pytest
from PIL import Image

from orchestrator.sandbox import render
from orchestrator.sandbox.scene import FPS, Look, Scene, coloured_by, look_of, variant_of


def a_look(prompt: str = "a cat", size: tuple[int, int] = (96, 64), seconds: int = 1) -> Look:
    return look_of(prompt, "sora-2", size, seconds)


def png(colour: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(target, "PNG")
    return target.getvalue()


def decoded(data: bytes) -> tuple[str, int, int, list[bytes]]:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = [bytes(frame.planes[0]) for frame in container.decode(stream)]
        return stream.codec_context.name, stream.width, stream.height, frames


@pytest.mark.parametrize("seconds", [1, 3, 11])
def test_video_has_the_asked_size_and_length_when_decoded(seconds: int) -> None:
    """H.264 at 24 frames a second, also when packets of a cycle are repeated."""
    data = render.video(a_look(seconds=seconds))

    codec, width, height, frames = decoded(data)

    assert ("h264", 96, 64, seconds * FPS) == (codec, width, height, len(frames))


def test_video_moves_when_played() -> None:
    """Frames differ, all over the video."""
    *_, frames = decoded(render.video(a_look()))

    assert len(set(frames)) > FPS / 2


def test_index_comes_first_when_the_video_is_an_mp4() -> None:
    """A player can begin before it has everything."""
    data = render.video(a_look())

    assert data[4:8] == b"ftyp"
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_video_is_an_avi_when_asked_for() -> None:
    """Some servers answer with an AVI."""
    data = render.video(a_look(), "avi")

    assert (data[:4], data[8:12]) == (b"RIFF", b"AVI ")
    assert len(decoded(data)[3]) == FPS


@pytest.mark.parametrize("size", [(16, 16), (16, 512), (512, 16), (4096, 16), (2048, 1152)])
def test_frame_fits_the_canvas_when_the_size_is_extreme(size: tuple[int, int]) -> None:
    """Every allowed shape can be drawn, and none is drawn larger than needed."""
    look = a_look("a long prompt " * 9, size)

    frame = Scene(look).frame(5)

    assert look.canvas == frame.size
    assert frame.width * frame.height <= 1280 * 720 + 4 * max(size)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "\x00\x07\u202e\ufffe",
        "🎬🎉👩‍👩‍👧",
        "夜の東京 مرحبا नमस्ते",
        "e\u0301" * 40,
        "W" * 5000,
        "word " * 6400,
        "\ud800",
    ],
)
def test_frame_is_drawn_when_the_prompt_is_strange(prompt: str) -> None:
    """No text can break a picture."""
    assert Scene(a_look(prompt)).frame(0).size == (96, 64)


def test_video_is_made_when_the_prompt_is_no_text() -> None:
    """Neither half a character nor a NUL breaks the file's own title."""
    *_, frames = decoded(render.video(a_look("\ud800 \x00 cat")))

    assert len(frames) == FPS


def test_prompt_is_written_on_the_picture() -> None:
    """Two prompts in the same colours make different pictures."""
    look = a_look(size=(320, 240))
    other = variant_of(look, "another text", "sora-2", 1)

    written, blank = (
        Scene(Look(text, "", 320, 240, 1, look.palette, look.seed)).frame(0)
        for text in ("a cat", "")
    )

    assert written.tobytes() != blank.tobytes()
    assert other.seed == look.seed
    assert other.palette != look.palette


def test_looks_are_equal_when_the_prompts_are() -> None:
    """The prompt alone decides colours and motion."""
    assert a_look().digest == a_look().digest
    assert a_look().digest != a_look("a dog").digest


def test_colours_come_from_the_picture_when_there_is_one() -> None:
    """A red reference gives a video on red ground."""
    look = coloured_by(a_look(), png((200, 10, 10)))

    assert look.palette[0] == (200, 10, 10)
    assert Scene(look).frame(0).size == (96, 64)


def test_unreadable_picture_is_refused() -> None:
    """Bytes that are no image raise what Pillow says of them."""
    with pytest.raises(OSError, match="cannot identify"):
        coloured_by(a_look(), b"no image")


def test_stills_have_their_formats() -> None:
    """WebP for the thumbnail, JPEG for the sheet of ten."""
    look = a_look()

    with Image.open(io.BytesIO(render.thumbnail(look))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (96, 64))
    with Image.open(io.BytesIO(render.spritesheet(look))) as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (480, 128))


def test_stamp_says_whose_file_it_is_and_keeps_it_playable() -> None:
    """Files of two jobs differ by their stamps alone."""
    blank = render.video(a_look())

    one, other = render.stamped(blank, "video_1"), render.stamped(blank, "video_2")

    assert (render.stamped_id(one), render.stamped_id(other)) == ("video_1", "video_2")
    assert len(blank) == len(one)
    assert decoded(blank) == decoded(one)
    assert render.stamped_id(blank) is None


def test_rendering_ends_when_nobody_wants_the_video() -> None:
    """A cancelled video costs no further frame."""
    answers = iter([False, False, True])

    with pytest.raises(render.RenderCancelledError):
        render.video(a_look(), cancelled=lambda: next(answers))
