"""What the operating system's refusals mean to whoever wanted to store something."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import StorageError

_REASONS = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "is full: its disk quota is used up",
    errno.EFBIG: "does not allow files of this size",
    errno.EACCES: "denies access",
    errno.EPERM: "denies access",
    errno.EROFS: "is read-only",
    errno.EMFILE: "cannot open more files",
    errno.ENFILE: "cannot open more files",
    errno.ENOTDIR: "has a file where a folder is needed",
    errno.EEXIST: "has a file where a folder is needed",
    errno.EISDIR: "has a folder where a file is needed",
    errno.EIO: "lies on a disk that reports errors",
}


def explained(error: OSError, place: str = "The storage") -> StorageError:
    """The StorageError that says what `error` means, without a path; raise it from `error`."""
    return StorageError(f"{place} {_REASONS.get(error.errno or 0, 'does not work')}.")


@contextmanager
def os_errors_explained(place: str = "The storage") -> Iterator[None]:
    """Turns any OSError inside into a StorageError; the cause stays attached for the log."""
    try:
        yield
    except OSError as error:
        raise explained(error, place) from error
