"""A folder as storage: what it said it kept is there after a power failure, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from orchestrator.errors import ConfigurationError, ContentMissing, StorageError
from orchestrator.storage.contract import Content, ObjectInfo, part_of
from orchestrator.storage.faults import explained, os_errors_explained
from orchestrator.storage.files import FileParts
from orchestrator.storage.keys import check_key, check_prefix, is_name
from orchestrator.storage.probe import probe
from orchestrator.storage.staged import Staged, put_staged

_STAGING = ".staging"  # hidden: no key can name it, no list shows it
_LEFTOVER_SECONDS = 24 * 3600
_RENAME_TRIES = 5
_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}


class LocalStorage:
    """Objects are files below one folder, made with mode 0700 by the first write.

    It keeps no content type: the row that names the object does.
    """

    def __init__(self, root: Path, url: str):
        self.url = url
        self._root = root

    @classmethod
    def from_url(cls, url: str) -> LocalStorage:
        """From `file:///absolute/folder`, percent-decoded. Raises ConfigurationError."""
        parts = urlsplit(url)
        path = unquote(parts.path)
        plain = not parts.query and not parts.fragment and "\0" not in path
        if parts.netloc not in ("", "localhost") or not path.startswith("/") or not plain:
            raise ConfigurationError(
                "STORAGE_URL must be file:///absolute/folder, with ?, # and % percent-encoded.",
                param="STORAGE_URL",
            )
        return cls(Path(os.path.normpath(path)), url)

    def put(self, key: str, chunks: Iterable[bytes], *, content_type: str) -> None:
        """See Storage.put."""
        put_staged(self.stage(), key, chunks, content_type)

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """See Storage.stage."""
        with os_errors_explained():
            staging = self._make_staging()
            descriptor, path = tempfile.mkstemp(dir=staging)
        file = os.fdopen(descriptor, "wb")
        staged = Staged(file, partial(self._publish, file, path), place="The storage")
        try:
            yield staged
        finally:
            # A close fails when bytes did not reach the disk; a commit has synced them before.
            with suppress(OSError):
                file.close()
            if not staged.committed:
                with suppress(OSError):
                    os.unlink(path)

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Content:
        """See Storage.open. The open file outlives a delete of its name."""
        path = self._path(key)
        try:
            file = FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            raise (ContentMissing() if _says_missing(error) else explained(error)) from error
        try:
            size = _size_of_file(file)
            start, end = part_of(size, start, end)
        except (ContentMissing, ValueError):
            file.close()
            raise
        parts = FileParts(file, start, end)
        return Content(size, start, end, parts, parts.close, parts.at_hand)

    def stat(self, key: str) -> ObjectInfo | None:
        """See Storage.stat."""
        return _info(key, self._path(key))

    def delete(self, key: str) -> None:
        """See Storage.delete. Folders that this empties go too."""
        path = self._path(key)
        try:
            path.unlink()
        except OSError as error:
            if _says_missing(error):
                return
            raise explained(error) from error
        for folder in path.relative_to(self._root).parents[:-1]:
            try:
                (self._root / folder).rmdir()
            except OSError:
                return

    def list(
        self, prefix: str, *, older_than: datetime | None = None, after: str = "", limit: int
    ) -> Iterator[ObjectInfo]:
        """See Storage.list. Symbolic links are not followed, files with foreign names not shown."""
        prefix = check_prefix(prefix)
        self._check_inside(self._root / prefix)
        found = _walk(self._root / prefix, prefix, after)
        old = (info for info in found if older_than is None or info.modified_at < older_than)
        return islice(old, limit)

    def signed_url(self, key: str, *, expires_in: timedelta, filename: str | None) -> None:
        """See Storage.signed_url: a folder has none."""
        check_key(key)

    def check(self) -> None:
        """See Storage.check."""
        probe(self)

    def _path(self, key: str) -> Path:
        """Where `key` lies; refuses a folder that is a link to somewhere else."""
        path = self._root / check_key(key)
        self._check_inside(path.parent)
        return path

    def _check_inside(self, folder: Path) -> None:
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(self._root)):
            raise StorageError("A link in the storage leads out of it.")

    def _make_staging(self) -> Path:
        """The folder of spools, cleared of what killed processes left there more than a day ago."""
        if not self._root.exists():
            self._root.parent.mkdir(parents=True, exist_ok=True)
            self._root.mkdir(mode=0o700, exist_ok=True)
            # Ours to make, but perhaps not ours to read: then the name is as durable as it can be.
            with suppress(PermissionError):
                _sync_folder(self._root.parent)
        staging = self._root / _STAGING
        staging.mkdir(mode=0o700, exist_ok=True)
        horizon = time.time() - _LEFTOVER_SECONDS
        with os.scandir(staging) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < horizon:
                        os.unlink(entry.path)
        return staging

    def _publish(self, file: BinaryIO, staged_path: str, key: str, content_type: str) -> None:
        """Sync the file, name it, sync the folders: in this order the name never shows less."""
        target = self._path(key)
        with os_errors_explained():
            os.fsync(file.fileno())
            _rename(staged_path, target)
            # All the way up: a folder that a neighbour made a moment ago may not be on disk yet.
            for folder in target.relative_to(self._root).parents:
                _sync_folder(self._root / folder)


def _rename(staged_path: str, target: Path) -> None:
    """Rename, making the folders again when a delete removes them, being empty, in between."""
    tries_left = _RENAME_TRIES
    while True:
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.rename(staged_path, target)
            return
        except FileNotFoundError:
            tries_left -= 1
            if not tries_left:
                raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size_of_file(file: FileIO) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ContentMissing
    return status.st_size


def _says_missing(error: OSError) -> bool:
    return error.errno in _NOTHING_THERE


def _info(key: str, path: Path) -> ObjectInfo | None:
    try:
        status = path.lstat()
    except OSError as error:
        if _says_missing(error):
            return None
        raise explained(error) from error
    if not stat.S_ISREG(status.st_mode):
        return None
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _walk(folder: Path, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """Files below `folder` with keys beyond `after`, in the order of their keys."""
    for name in _sorted_names(folder):
        key = prefix + name
        if name.endswith("/"):
            if key > after or after.startswith(key):
                yield from _walk(folder / name, key, after)
        elif key > after:
            info = _info(key, folder / name)
            if info:
                yield info


def _sorted_names(folder: Path) -> list[str]:
    """Names in `folder`, those of folders with a slash, so that they sort as whole keys do."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name + "/" * entry.is_dir(follow_symlinks=False)
                for entry in entries
                if is_name(entry.name)
            )
    except OSError as error:
        if _says_missing(error):
            return []
        raise explained(error) from error
