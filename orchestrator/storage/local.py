"""A folder as storage: what it said it kept is there after a power failure, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heapify, heappop
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from orchestrator.errors import ConfigurationError, ContentMissing
from orchestrator.storage.contract import Content, ObjectInfo, part_of
from orchestrator.storage.faults import explained, os_errors_explained
from orchestrator.storage.files import FileParts
from orchestrator.storage.folders import Folders
from orchestrator.storage.keys import check_key, check_prefix, is_name
from orchestrator.storage.probe import probe
from orchestrator.storage.staged import Staged, put_staged

_NOTHING_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}


class LocalStorage:
    """Objects are files below one folder, made with mode 0700 by the first write.

    It keeps no content type: the row that names the object does.

    clock: seconds, of any origin, by which leftovers are looked for now and then.
    """

    def __init__(self, root: Path, url: str, *, clock: Callable[[], float] = time.monotonic):
        self.url = url
        self._folders = Folders(str(root), clock)

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
            descriptor, path = self._folders.spool()
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
        path = self._folders.path(key)
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
        return _info(key, self._folders.path(key))

    def delete(self, key: str) -> None:
        """See Storage.delete. Folders that this empties go too, but for the first."""
        try:
            self._folders.remove(key)
        except OSError as error:
            if not _says_missing(error):
                raise explained(error) from error

    def list(self, prefix: str, *, after: str = "", limit: int) -> Iterator[ObjectInfo]:
        """See Storage.list. Symbolic links are not followed, files with foreign names not shown."""
        prefix = check_prefix(prefix)
        return islice(_walk(self._folders.inside(prefix), prefix, after), limit)

    def signed_url(self, key: str, *, expires_in: timedelta, filename: str | None) -> None:
        """See Storage.signed_url: a folder has none."""
        check_key(key)

    def check(self) -> None:
        """See Storage.check."""
        probe(self)

    def _publish(self, file: BinaryIO, spool: str, key: str, content_type: str) -> None:
        """Sync the file before it gets its name: the name never shows less."""
        with os_errors_explained():
            os.fsync(file.fileno())
            self._folders.name(spool, key)


def _size_of_file(file: FileIO) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ContentMissing
    return status.st_size


def _says_missing(error: OSError) -> bool:
    return error.errno in _NOTHING_THERE


def _info(key: str, path: str) -> ObjectInfo | None:
    try:
        status = os.lstat(path)
    except OSError as error:
        if _says_missing(error):
            return None
        raise explained(error) from error
    if not stat.S_ISREG(status.st_mode):
        return None
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _walk(folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """Files below `folder` with keys beyond `after`, in the order of their keys."""
    for name in _names(folder, prefix, after):
        if not is_name(name.removesuffix("/")):
            continue
        if name.endswith("/"):
            yield from _walk(os.path.join(folder, name), prefix + name, after)
        else:
            info = _info(prefix + name, os.path.join(folder, name))
            if info:
                yield info


def _names(folder: str, prefix: str, after: str) -> Iterator[str]:
    """Names in `folder` of keys beyond `after`, those of folders with a slash, so that they sort as
    whole keys do. One by one: of a million a sweep wants the next few thousand.
    """
    try:
        with os.scandir(folder) as entries:
            names = [e.name + "/" * e.is_dir(follow_symlinks=False) for e in entries]
    except OSError as error:
        if _says_missing(error):
            return
        raise explained(error) from error
    names = [
        name
        for name in names
        if prefix + name > after or (name[-1] == "/" and after.startswith(prefix + name))
    ]
    heapify(names)
    while names:
        yield heappop(names)
