"""The folders of a storage on disk: made when they are needed, never left through a link, and on
disk by the time that a file in them is said to be kept.

Each system call lets go of the interpreter, which costs more than most of these calls: what a
process has seen to once it does not do again for each file.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.errors import StorageError
from orchestrator.storage.keys import check_key

_STAGING = ".staging"  # hidden: no key can name it, no list shows it
_LEFTOVER_SECONDS = 24 * 3600
_CLEARED_EVERY = 3600.0
_RENAME_TRIES = 5


class Folders:
    """Below `root`, an absolute path; it is made with mode 0700 by the first write.

    clock: seconds, of any origin, by which leftovers are looked for now and then.
    """

    def __init__(self, root: str, clock: Callable[[], float]):
        self.root = root
        self._clock = clock
        self._clear_at = 0.0
        self._named: set[str] = set()

    def path(self, key: str) -> str:
        """Where `key` lies. Raises StorageError where a link leads out."""
        folder, _, name = check_key(key).rpartition("/")
        return os.path.join(self.inside(folder), name)

    def inside(self, folder: str) -> str:
        """Where `folder` ("" or with slashes) lies. Raises StorageError where a link leads out."""
        path = self.root
        for name in filter(None, folder.split("/")):
            path = os.path.join(path, name)
            if _is_link(path) and not self._contains(path):
                raise StorageError("A link in the storage leads out of it.")
        return os.path.join(self.root, folder)

    def spool(self) -> tuple[int, str]:
        """A new file without a name that a key could have: its descriptor, and where it lies."""
        staging = os.path.join(self.root, _STAGING)
        now = self._clock()
        if now >= self._clear_at:
            self._clear_at = now + _CLEARED_EVERY
            _clear(staging)
        try:
            return tempfile.mkstemp(dir=staging)
        except FileNotFoundError:
            self._make_root()
            os.makedirs(staging, mode=0o700, exist_ok=True)
            return tempfile.mkstemp(dir=staging)

    def name(self, spool: str, key: str) -> None:
        """Give a synced spool the name of `key`, and see that the name is on disk."""
        target = self.path(key)
        if self._rename(spool, target):
            self._named.clear()
        first, *others = key.split("/")[:-1] or [""]
        # From the file upwards: a folder that a neighbour made a moment ago may not be on disk yet.
        for depth in range(len(others), -1, -1):
            _sync(os.path.join(self.root, first, *others[:depth]))
        # `remove` leaves the first one alone: once its own name is on disk it stays there.
        if first and first not in self._named:
            _sync(self.root)
            self._named.add(first)

    def remove(self, key: str) -> None:
        """Remove the file of `key`, and folders that this empties, but for the first."""
        os.unlink(self.path(key))
        folders = key.split("/")[:-1]
        with suppress(OSError):
            while len(folders) > 1:
                os.rmdir(os.path.join(self.root, *folders))
                folders.pop()

    def _rename(self, spool: str, target: str) -> bool:
        """Rename, making the folders again when a removal takes them, being empty, in between.
        Returns whether one in the root may be new.
        """
        folder = os.path.dirname(target)
        tries_left = _RENAME_TRIES
        new = False
        while True:
            try:
                new = self._make(folder) or new
                os.rename(spool, target)
                return new
            except FileNotFoundError:
                tries_left -= 1
                if not tries_left:
                    raise

    def _make(self, folder: str) -> bool:
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
            return False
        except FileNotFoundError:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            return True
        return os.path.dirname(folder) == self.root

    def _contains(self, path: str) -> bool:
        root = os.path.realpath(self.root)
        return os.path.commonpath([root, os.path.realpath(path)]) == root

    def _make_root(self) -> None:
        if os.path.exists(self.root):
            return
        parent = os.path.dirname(self.root)
        os.makedirs(parent, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(self.root, 0o700)
        # Ours to make, but perhaps not ours to read: then the name is as durable as it can be.
        with suppress(PermissionError):
            _sync(parent)


def _clear(staging: str) -> None:
    """Remove what killed processes left there more than a day ago."""
    horizon = time.time() - _LEFTOVER_SECONDS
    with suppress(FileNotFoundError), os.scandir(staging) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < horizon:
                    os.unlink(entry.path)


def _is_link(path: str) -> bool:
    """Whether it is one; False if there is nothing, or no right to look: the next call will say."""
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
