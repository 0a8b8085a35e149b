"""What files are, by their first bytes."""

import pytest

from orchestrator.media import sniff


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video/mp4"),
        (b"RIFF\x10\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
        (b'{"error": {"message": "not ready"}}', "application/json"),
        (b'\xef\xbb\xbf \r\n[{"a": 1}]', "application/json"),
        (b"<!DOCTYPE HTML><title>502</title>", "text/html"),
        (b"\n\n<html lang=en>", "text/html"),
    ],
)
def test_sniff_names_the_type_when_the_first_bytes_tell_it(head, expected):
    """Every type that we store or must refuse is told by its magic bytes."""
    assert sniff(head) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"ftyp",
        b"RIFF",
        b"RIFF\x10\x00\x00\x00WAVE",
        b"\xff\xd8",
        b"<svg>",
        b"plain text",
        bytes(64),
    ],
)
def test_sniff_says_nothing_when_the_bytes_are_strange_or_too_few(head):
    """An unknown or cut beginning is no type rather than a guess."""
    assert sniff(head) is None
