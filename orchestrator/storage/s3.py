"""A bucket as storage, at AWS or any server that speaks S3."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from orchestrator.errors import ContentMissing, StorageError
from orchestrator.storage.bucket import open_bucket
from orchestrator.storage.contract import Content, ObjectInfo, part_of
from orchestrator.storage.faults import os_errors_explained
from orchestrator.storage.keys import check_key, check_prefix, is_key
from orchestrator.storage.probe import probe
from orchestrator.storage.signing import sign_with_filename
from orchestrator.storage.staged import Staged, put_staged

_CHUNK_BYTES = 512 * 1024
# Memory of one upload: the parts under way. 10,000 parts are allowed, so a file may have 80 GB.
_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_SPOOL = "The folder for temporary files"


class S3Storage:
    """Objects in a bucket, below an optional prefix. Uploads come from a spool in a temporary file.

    So a source that breaks off costs no request, the bucket never sees half a file, and a part can
    be sent again. Beyond one part the upload is multipart; it is aborted when it fails.
    """

    def __init__(self, bucket: S3Store, url: str, secret_key: str | None):
        self.url = url
        self._opened_bucket = bucket
        self._secret_key = secret_key
        self._used_in: int | None = None

    @classmethod
    def from_url(cls, url: str, env: Mapping[str, str]) -> S3Storage:
        """From `s3://bucket/prefix?region=…&endpoint=…` and `AWS_*`. Raises ConfigurationError."""
        return cls(open_bucket(url, env), url, env.get("AWS_SECRET_ACCESS_KEY"))

    def put(self, key: str, chunks: Iterable[bytes], *, content_type: str) -> None:
        """See Storage.put."""
        put_staged(self.stage(), key, chunks, content_type)

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """See Storage.stage. The spool has no name, so that not even a kill leaves it behind."""
        with os_errors_explained(_SPOOL):
            spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the block below
        with spool:
            yield Staged(spool, partial(self._publish, spool), place=_SPOOL)

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Content:
        """See Storage.open."""
        if start == 0 and end is None:
            with _errors_explained():
                whole = obstore.get(self._bucket, check_key(key))
            size = whole.meta["size"]
            return _streamed(size, 0, size, whole)
        # The size comes first, because S3 refuses a range that holds no byte instead of cutting it.
        info = self.stat(key)
        if info is None:
            raise ContentMissing
        start, end = part_of(info.size, start, end)
        if start == end:
            return _streamed(info.size, start, end, None)
        with _errors_explained():
            part = obstore.get(self._bucket, key, options={"range": (start, end)})
        return _streamed(info.size, start, end, part)

    def stat(self, key: str) -> ObjectInfo | None:
        """See Storage.stat."""
        try:
            with _errors_explained():
                meta = obstore.head(self._bucket, check_key(key))
        except ContentMissing:
            return None
        return ObjectInfo(key, meta["size"], meta["last_modified"])

    def delete(self, key: str) -> None:
        """See Storage.delete."""
        with _errors_explained():
            obstore.delete(self._bucket, check_key(key))

    def list(self, prefix: str, *, after: str = "", limit: int) -> Iterator[ObjectInfo]:
        """See Storage.list. Objects with foreign names are not shown."""
        return islice(self._walk(check_prefix(prefix), after), limit)

    def signed_url(self, key: str, *, expires_in: timedelta, filename: str | None) -> str:
        """See Storage.signed_url. At most 7 days.

        With credentials that the machine's role lends, only obstore can sign: `filename` is then
        without effect.
        """
        with _errors_explained():
            url = obstore.sign(self._bucket, "GET", check_key(key), expires_in)
        if filename is None or self._secret_key is None:
            return url
        return sign_with_filename(url, self._secret_key, filename)

    def check(self) -> None:
        """See Storage.check."""
        probe(self)

    @property
    def _bucket(self) -> S3Store:
        """The bucket, for use in one process only.

        obstore's threads do not survive a fork, and a call in the child would wait for ever: better
        an error that says so. Opening the storage before a fork is fine, using it is not.
        """
        process = os.getpid()
        if self._used_in not in (None, process):
            raise RuntimeError("the S3 storage was used before this process was forked")
        self._used_in = process
        return self._opened_bucket

    def _publish(self, spool: BinaryIO, key: str, content_type: str) -> None:
        with os_errors_explained(_SPOOL):
            spool.seek(0)
        try:
            with _errors_explained():
                obstore.put(
                    self._bucket,
                    key,
                    spool,
                    attributes={"Content-Type": content_type},
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except ContentMissing as error:
            raise StorageError("The bucket does not exist.") from error

    def _walk(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        with _errors_explained():
            for batch in obstore.list(self._bucket, prefix or None, offset=after or None):
                for meta in batch:
                    if is_key(meta["path"]):
                        yield ObjectInfo(meta["path"], meta["size"], meta["last_modified"])


def _streamed(size: int, start: int, end: int, reply: obstore.GetResult | None) -> Content:
    chunks = _chunks(reply)
    return Content(size, start, end, chunks, chunks.close)


def _chunks(reply: obstore.GetResult | None) -> Generator[bytes]:
    if reply is not None:
        with _errors_explained():
            for chunk in reply.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)


@contextmanager
def _errors_explained() -> Iterator[None]:
    """Turns what obstore raises into a StorageError without addresses; the cause is kept."""
    try:
        yield
    except FileNotFoundError as error:
        raise ContentMissing from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StorageError("The storage denies access.") from error
    except (BaseError, OSError) as error:
        raise StorageError("The storage does not answer as it should.") from error
