"""What refusals of the operating system become."""

import errno

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.faults import os_errors_explained


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "The storage is full."),
        (errno.EDQUOT, "The storage is full: its disk quota is used up."),
        (errno.EACCES, "The storage denies access."),
        (errno.EROFS, "The storage is read-only."),
        (errno.EXDEV, "The storage does not work."),
    ],
)
def test_os_error_becomes_a_reason_without_a_path(number, expected):
    """The operator reads why; nobody reads where."""
    with pytest.raises(StorageError) as caught, os_errors_explained():
        raise OSError(number, "secret detail", "/secret/path")

    assert caught.value.message == expected
    assert caught.value.__cause__.errno == number


def test_reason_names_the_place_when_it_is_not_the_storage_itself():
    """A full folder for temporary files is not taken for a full bucket."""
    with pytest.raises(StorageError) as caught, os_errors_explained("The spool"):
        raise OSError(errno.ENOSPC, "no space")

    assert caught.value.message == "The spool is full."
