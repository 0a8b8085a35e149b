"""What every storage promises, and the two values it speaks in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, Self

from orchestrator.storage.staged import Staged


def _nothing() -> None:
    """Is at hand where bytes come over a network."""


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object: `size` in bytes, `modified_at` aware."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class Content:
    """The bytes `start` (inclusive) to `end` (exclusive) of an object of `size_total` bytes.

    `chunks` may be read once. Close it, or use it as a context manager; a reader that stops in the
    middle holds a file or a connection until then.
    `at_hand` takes the next of the chunks if nobody has to wait for it; None: ask `chunks`.
    """

    size_total: int
    start: int
    end: int
    chunks: Iterator[bytes]
    close: Callable[[], None]
    at_hand: Callable[[], bytes | None] = _nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def part_of(size: int, start: int, end: int | None) -> tuple[int, int]:
    """The part [start, end) of `size` bytes, cut to what there is; ValueError if it is none."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"not a part of an object: {start} to {end}")
    end = size if end is None else min(end, size)
    return min(start, end), end


class Storage(Protocol):
    """Objects under keys. Whatever cannot be done is a StorageError, which says why in a sentence.

    A key is relative: names of letters, digits, `.`, `_`, `-` that do not begin with a dot, joined
    by `/`. Any other key is a ValueError, because keys are made by us, never by a caller.
    """

    @property
    def url(self) -> str:
        """The URL it was opened with; it never holds a secret."""

    def put(self, key: str, chunks: Iterable[bytes], *, content_type: str) -> None:
        """Keep these bytes under `key`: all, durably, or none. Replaces what was there."""

    def stage(self) -> AbstractContextManager[Staged]:
        """Receive bytes whose key follows from them (their sha256): write, then commit.

        What is not committed when the block ends is gone.
        """

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Content:
        """Stream an object, or the part [start, end) of it; both are cut to its size.

        Raises ContentMissing, and StorageError, also while the chunks are read.
        """

    def stat(self, key: str) -> ObjectInfo | None:
        """What is under `key`, or None."""

    def delete(self, key: str) -> None:
        """Remove it; a key with nothing under it is fine."""

    def list(self, prefix: str, *, after: str = "", limit: int) -> Iterator[ObjectInfo]:
        """At most `limit` objects of the folder `prefix` ("" = all), in the order of their keys.

        Only keys beyond `after`, so that a sweep can go on where its last batch ended.
        """

    def signed_url(self, key: str, *, expires_in: timedelta, filename: str | None) -> str | None:
        """A URL that anyone may GET for a while, saved as `filename`; None where there is none."""

    def check(self) -> None:
        """Write, read and delete an object of 1 MiB; raises StorageError if that does not work."""
