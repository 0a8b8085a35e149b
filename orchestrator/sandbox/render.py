"""Turns looks into files: H.264 MP4 (or Motion-JPEG AVI), WebP thumbnail, JPEG spritesheet.

Each file is made once per look; `stamped` then writes the job's id into a place that was kept free
for it, so that the bytes of two jobs always differ and anybody can tell whose they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from av.video.stream import VideoStream
from PIL import Image

from orchestrator.sandbox.lettering import writable
from orchestrator.sandbox.scene import FPS, Look, Scene

STAMP_ROOM = 80
EMPTY_STAMP = b"sandbox-job=" + b"." * STAMP_ROOM
STAMP = re.compile(rb"sandbox-job=([\w-]{1,%d})\.*" % STAMP_ROOM)
ITU709 = 1
SPRITES = 10
SPRITE_WIDTH = 240

# Fast before small. Without B-frames packets leave in the order of their frames: repeatable.
X264 = {"preset": "ultrafast", "crf": "22", "threads": "1", "bf": "0"}


@dataclass(frozen=True, slots=True)
class Container:
    """How one kind of file is written."""

    mime: str
    codec: str
    pixel_format: str
    container_options: dict[str, str]
    codec_options: dict[str, str]


CONTAINERS = {
    "mp4": Container("video/mp4", "libx264", "yuv420p", {"movflags": "+faststart"}, X264),
    "avi": Container("video/x-msvideo", "mjpeg", "yuvj420p", {}, {}),
}


class RenderCancelledError(Exception):
    """Nobody wants the video any longer."""


def video(look: Look, container: str = "mp4", cancelled: Callable[[], bool] = bool) -> bytes:
    """The encoded video, 24 frames a second, with an empty stamp.

    `cancelled` is asked before each frame; where it says yes, RenderCancelledError is raised.
    """
    with TemporaryDirectory(prefix="sandbox-") as folder:
        # A real file, because putting the index first reads back what was written.
        target = Path(folder, f"video.{container}")
        _encode(look, container, target, cancelled)
        return target.read_bytes()


def _encode(look: Look, container: str, target: Path, cancelled: Callable[[], bool]) -> None:
    kind = CONTAINERS[container]
    with av.open(target, "w", format=container, container_options=kind.container_options) as output:
        output.metadata["comment"] = EMPTY_STAMP.decode()
        output.metadata["title"] = writable(look.text)[:200]
        stream = output.add_stream(kind.codec, rate=FPS, options=kind.codec_options)
        assert isinstance(stream, VideoStream)  # noqa: S101 - narrows the type for mypy
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, kind.pixel_format
        stream.codec_context.gop_size = FPS * 2
        _declare_colours(stream)
        for packet in _packets(look, stream, kind.pixel_format, cancelled):
            output.mux(packet)


def _declare_colours(stream: VideoStream) -> None:
    """Say which matrix was used; players guess otherwise, and guess by size."""
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = ITU709


def _packets(
    look: Look, stream: VideoStream, pixel_format: str, cancelled: Callable[[], bool]
) -> Iterator[av.Packet[VideoStream]]:
    """One cycle is encoded; further ones are its packets again, later."""
    cycle = [
        packet
        for frame in _frames(look, pixel_format, cancelled)
        for packet in stream.encode(frame)
    ]
    cycle += stream.encode(None)
    time_base = Fraction(1, FPS)
    wanted = look.seconds * FPS
    ticks = [round((packet.pts or 0) * (packet.time_base / time_base)) for packet in cycle]
    for number in range(math.ceil(wanted / look.cycle_frames)):
        for packet, tick in zip(cycle, ticks, strict=True):
            moment = number * look.cycle_frames + tick
            if moment >= wanted:
                return
            copy: av.Packet[VideoStream] = av.Packet(bytes(packet))  # type: ignore[assignment]
            copy.stream, copy.is_keyframe = stream, packet.is_keyframe
            copy.time_base, copy.pts, copy.dts, copy.duration = time_base, moment, moment, 1
            yield copy


def _frames(
    look: Look, pixel_format: str, cancelled: Callable[[], bool]
) -> Iterator[av.VideoFrame]:
    scene = Scene(look)
    for number in range(look.cycle_frames):
        if cancelled():
            raise RenderCancelledError
        picture = _picture(scene.frame(number))
        frame = picture.reformat(
            look.width, look.height, pixel_format, dst_colorspace="ITU709", interpolation="BILINEAR"
        )
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def _picture(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


def thumbnail(look: Look) -> bytes:
    """One frame from the first third, as WebP, at most 1280 x 720 pixels of area."""
    target = BytesIO()
    Scene(look).frame(look.cycle_frames // 3).save(target, "WEBP", quality=82)
    return target.getvalue()


def spritesheet(look: Look) -> bytes:
    """Ten frames spread over the video, five in a row, as one JPEG."""
    scene = Scene(look)
    width = min(SPRITE_WIDTH, scene.width)
    height = max(1, round(scene.height * width / scene.width))
    sheet = Image.new("RGB", (width * 5, height * (SPRITES // 5)))
    for number in range(SPRITES):
        frame = scene.frame(look.seconds * FPS * number // SPRITES).resize((width, height))
        sheet.paste(frame, (number % 5 * width, number // 5 * height))
    target = BytesIO()
    sheet.save(target, "JPEG", quality=82)
    return target.getvalue()


def stamped(data: bytes, job_id: str) -> bytes:
    """The file with `job_id` (at most 80 letters) in its stamp; files without one as they are."""
    place = data.find(EMPTY_STAMP)
    if place < 0:
        return data
    stamp = b"sandbox-job=" + job_id.encode()[:STAMP_ROOM]
    return data[:place] + stamp.ljust(len(EMPTY_STAMP), b".") + data[place + len(EMPTY_STAMP) :]


def stamped_id(data: bytes) -> str | None:
    """The id of the job that a file was served for, if it carries one."""
    found = STAMP.search(data)
    return found.group(1).decode() if found else None
