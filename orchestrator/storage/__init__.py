"""Where the bytes of videos, thumbnails and input images live: a folder, or an S3 bucket."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from orchestrator.errors import ConfigurationError
from orchestrator.storage.contract import Content, ObjectInfo, Storage
from orchestrator.storage.local import LocalStorage
from orchestrator.storage.s3 import S3Storage
from orchestrator.storage.staged import Staged

__all__ = ["Content", "ObjectInfo", "Staged", "Storage", "open_storage"]


def open_storage(url: str, env: Mapping[str, str]) -> Storage:
    """The storage that `url` names: `file:///folder` or `s3://bucket/prefix?region=…&endpoint=…`.

    `env` holds the usual `AWS_*` variables. Nothing is touched yet: a folder is made by the first
    write, a bucket is asked by the first call. Raises ConfigurationError for a URL that names none.
    """
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return LocalStorage.from_url(url)
    if scheme == "s3":
        return S3Storage.from_url(url, env)
    raise ConfigurationError(
        "STORAGE_URL must be file:///absolute/folder or s3://bucket/prefix.", param="STORAGE_URL"
    )
