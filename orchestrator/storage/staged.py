"""Bytes that have arrived but have no name yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import BinaryIO

from orchestrator.storage.faults import os_errors_explained
from orchestrator.storage.keys import check_key

_HEAD_BYTES = 64


class Staged:
    """A spool that measures what is written to it; `commit` gives the bytes their key.

    `publish(key, content_type)` is the storage's own way to do that, all or nothing. The storage
    owns `file`, which lies in `place`, and removes what was not committed.
    """

    def __init__(self, file: BinaryIO, publish: Callable[[str, str], None], *, place: str):
        self._file = file
        self._publish = publish
        self._place = place
        self._digest = hashlib.sha256()
        self.size = 0
        self.head = b""
        self.committed = False

    @property
    def sha256(self) -> str:
        """The hex digest of everything written so far."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append a chunk. Raises StorageError when it cannot be kept (disk full)."""
        self._refuse_if_committed()
        with os_errors_explained(self._place):
            self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)
        self.head += chunk[: _HEAD_BYTES - len(self.head)]

    def commit(self, key: str, content_type: str) -> None:
        """Keep the bytes under `key`, durably, in one step.

        Raises StorageError; under the key is then what was there before, or these bytes whole.
        """
        self._refuse_if_committed()
        check_key(key)
        with os_errors_explained(self._place):
            self._file.flush()
        self._publish(key, content_type)
        self.committed = True

    def _refuse_if_committed(self) -> None:
        if self.committed:
            raise ValueError("these bytes are committed already")


def put_staged(
    stage: AbstractContextManager[Staged], key: str, chunks: Iterable[bytes], content_type: str
) -> None:
    """Bytes whose key is known before they come take the same path as those whose key is not."""
    check_key(key)
    with stage as staged:
        for chunk in chunks:
            staged.write(chunk)
        staged.commit(key, content_type)
