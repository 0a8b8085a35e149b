"""Where rendered files are kept. A file that is missing is made anew, so any may be dropped."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

MEMORY_BYTES = 256 * 1024 * 1024


class Shelf(Protocol):
    """Keeps bytes by name."""

    def get(self, name: str) -> bytes | None:
        """The bytes, if they are (still) there."""

    def put(self, name: str, data: bytes) -> None:
        """Keep the bytes, for a while at least."""


class MemoryShelf:
    """Keeps the most recently used files, up to a total of `room` bytes."""

    def __init__(self, room: int = MEMORY_BYTES):
        self._room, self._held = room, 0
        self._lock = threading.Lock()
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def get(self, name: str) -> bytes | None:
        """The bytes, if they are still there."""
        with self._lock:
            data = self._files.get(name)
            if data is not None:
                self._files.move_to_end(name)
            return data

    def put(self, name: str, data: bytes) -> None:
        """Keep the bytes; the longest unused ones make room."""
        with self._lock:
            self._held += len(data) - len(self._files.pop(name, b""))
            self._files[name] = data
            while self._held > self._room and len(self._files) > 1:
                self._held -= len(self._files.popitem(last=False)[1])


class FolderShelf:
    """Keeps files in a folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str) -> bytes | None:
        """The bytes, if the file is there."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Write the file; nobody ever sees half of it."""
        partial = self._folder / f".{name}.{threading.get_ident()}"
        partial.write_bytes(data)
        os.replace(partial, self._folder / name)
