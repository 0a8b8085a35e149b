"""The bytes of a finished video: told by what they are, counted to the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.errors import ContentInvalid

HEAD = 12


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes on their way.

    content_type: by the bytes themselves, not by the provider's word. content_length: as
    announced, None if it was not. chunks: to be read once, while the download is open.
    """

    content_type: str
    content_length: int | None
    chunks: Iterator[bytes]


def take(chunks: Iterator[bytes], size: int) -> bytes:
    """At least `size` bytes from the start, or all that there are."""
    head = b""
    while len(head) < size and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head


def checked_download(
    head: bytes,
    rest: Iterator[bytes],
    *,
    variant: str,
    containers: frozenset[str],
    length: int | None,
) -> Download | None:
    """The download, if its first HEAD bytes are those of what was asked for; else None.

    Reading `chunks` raises `ContentInvalid` at the end if their number is not the announced one.
    """
    content_type = _sniff(head)
    if content_type not in _wanted(variant, containers):
        return None
    return Download(content_type, length, _counted(head, rest, length))


def _wanted(variant: str, containers: frozenset[str]) -> frozenset[str]:
    if variant != "video":
        return frozenset({"image/webp", "image/jpeg", "image/png"})
    types = {"mp4": "video/mp4", "avi": "video/x-msvideo"}
    return frozenset(types[container] for container in containers)


def _sniff(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video/x-msvideo"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    return ""


def _counted(head: bytes, rest: Iterator[bytes], length: int | None) -> Iterator[bytes]:
    received = len(head)
    yield head
    for chunk in rest:
        received += len(chunk)
        yield chunk
    if length is not None and received != length:
        raise ContentInvalid(f"The provider announced {length} bytes and sent {received}.")
