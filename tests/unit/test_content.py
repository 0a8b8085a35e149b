"""Telling a video from what is none, by its bytes."""

from __future__ import annotations

import pytest

from orchestrator.errors import ContentInvalid
from orchestrator.providers.content import checked_download, take

MP4 = b"\x00\x00\x00\x18ftypmp42"
AVI = b"RIFF\x10\x00\x00\x00AVI LIST"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 "
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"
BOTH = frozenset({"mp4", "avi"})


@pytest.mark.parametrize(
    ("head", "variant", "containers", "content_type"),
    [
        (MP4, "video", frozenset({"mp4"}), "video/mp4"),
        (AVI, "video", BOTH, "video/x-msvideo"),
        (AVI, "video", frozenset({"mp4"}), None),
        (WEBP, "thumbnail", BOTH, "image/webp"),
        (JPEG, "spritesheet", BOTH, "image/jpeg"),
        (PNG, "thumbnail", BOTH, "image/png"),
        (MP4, "thumbnail", BOTH, None),
        (PNG, "video", BOTH, None),
        (b'{"error": {}}', "video", BOTH, None),
        (b"<html>", "video", BOTH, None),
        (b"", "video", BOTH, None),
    ],
)
def test_only_the_bytes_decide_what_it_is(
    head: bytes, variant: str, containers: frozenset[str], content_type: str | None
) -> None:
    """No content type of a provider is believed."""
    download = checked_download(head, iter([]), variant=variant, containers=containers, length=None)

    assert content_type == (download and download.content_type)


@pytest.mark.parametrize("length", [11, 13])
def test_another_number_of_bytes_than_announced_is_no_video(length: int) -> None:
    """Reading to the end is the proof."""
    download = checked_download(MP4, iter([b""]), variant="video", containers=BOTH, length=length)

    assert download is not None
    with pytest.raises(ContentInvalid):
        list(download.chunks)


def test_all_bytes_arrive_in_order() -> None:
    """The bytes that were looked at are not lost."""
    chunks = iter([MP4[:5], MP4[5:], b"rest", b"end"])
    head = take(chunks, 12)

    download = checked_download(head, chunks, variant="video", containers=BOTH, length=19)

    assert download is not None
    assert MP4 + b"restend" == b"".join(download.chunks)


def test_take_stops_at_the_end() -> None:
    """A short body is all there is."""
    assert b"abc" == take(iter([b"a", b"bc"]), 12)
