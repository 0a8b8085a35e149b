"""Files read part by part, with and without waiting for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.files import PART_BYTES, FileParts

CONTENT = os.urandom(2 * PART_BYTES + 100)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FileIO]:
    """A file that was just written, and so is in memory wherever the kernel says so."""
    path = tmp_path / "movie.mp4"
    path.write_bytes(CONTENT)
    with FileIO(path) as opened:
        yield opened


def test_parts_bring_the_whole_range_when_iterated(file: FileIO) -> None:
    """In parts of a bounded size; then the file is closed."""
    parts = list(FileParts(file, 10, len(CONTENT) - 10))

    assert CONTENT[10:-10] == b"".join(parts)
    assert PART_BYTES == max(map(len, parts))
    assert file.closed


def test_parts_go_on_where_the_other_way_ended_when_both_are_used(file: FileIO) -> None:
    """What is at hand is not read again, and what is not at hand is not left out."""
    parts = FileParts(file, 0, len(CONTENT))
    read = []

    while (part := parts.at_hand() or next(parts, None)) is not None:
        read += [part, *([other] if (other := next(parts, None)) is not None else [])]

    assert CONTENT == b"".join(read)


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux reads without waiting")
def test_part_is_at_hand_when_it_was_just_written(file: FileIO) -> None:
    """Nothing beyond the range is."""
    parts = FileParts(file, 0, 5)

    assert [CONTENT[:5], None] == [parts.at_hand(), parts.at_hand()]


def test_nothing_is_at_hand_when_the_file_cannot_tell(tmp_path: Path) -> None:
    """A pipe cannot be read at a place; whoever then iterates is told."""
    source, sink = os.pipe()
    parts = FileParts(FileIO(source), 0, 5)

    assert parts.at_hand() is None

    with pytest.raises(StorageError):
        next(parts)
    parts.close()
    os.close(sink)


def test_parts_say_so_when_the_file_has_become_shorter(file: FileIO) -> None:
    """A client must not be told that this was all."""
    parts = FileParts(file, len(CONTENT) - 1, len(CONTENT) + 1)

    with pytest.raises(StorageError, match="shorter"):
        list(parts)
