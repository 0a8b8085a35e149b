"""The parts of an open file, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO

from orchestrator.errors import StorageError
from orchestrator.storage.faults import os_errors_explained

PART_BYTES = 256 * 1024
# Linux tells whether a read would wait for the disk; elsewhere each is taken for one that does.
_WITHOUT_WAITING = getattr(os, "RWF_NOWAIT", None)


class FileParts(Iterator[bytes]):
    """The bytes `start` to `end` of a file, which is closed behind the last."""

    def __init__(self, file: FileIO, start: int, end: int):
        self._file = file
        self._start = start
        self._end = end

    def __next__(self) -> bytes:
        if self._start >= self._end:
            self.close()
            raise StopIteration
        with os_errors_explained():
            part = os.pread(self._file.fileno(), self._size, self._start)
        if not part:
            raise StorageError("The stored file is shorter than it was.")
        self._start += len(part)
        return part

    def at_hand(self) -> bytes | None:
        """The next part, or the beginning of it, if the kernel has it in memory: reading that is a
        copy, which is quicker than asking another thread for it. None: `next` knows more.
        """
        if self._start >= self._end or _WITHOUT_WAITING is None:
            return None
        part = bytearray(self._size)
        try:
            size = os.preadv(self._file.fileno(), [part], self._start, _WITHOUT_WAITING)
        except OSError:
            return None
        self._start += size
        return bytes(memoryview(part)[:size]) or None

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    @property
    def _size(self) -> int:
        return min(PART_BYTES, self._end - self._start)
