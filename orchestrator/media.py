"""What a file is, told by its first bytes alone.

A name or a `Content-Type` is a claim of whoever sent it; providers have answered a download with
200, `video/mp4` and a JSON error in the body.
"""

from __future__ import annotations

_TEXT_STARTS = (
    (b"{", "application/json"),
    (b"[", "application/json"),
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
)
_UTF8_BOM = b"\xef\xbb\xbf"


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins with `head` (64 bytes are plenty), or None if unknown.

    Knows `video/mp4`, `video/x-msvideo`, `image/webp`, `image/jpeg`, `image/png`,
    `application/json` and `text/html`.
    """
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"RIFF"):
        return {b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}.get(head[8:12])
    return _sniff_text(head)


def _sniff_text(head: bytes) -> str | None:
    text = head.removeprefix(_UTF8_BOM).lstrip().lower()
    for start, media_type in _TEXT_STARTS:
        if text.startswith(start):
            return media_type
    return None
