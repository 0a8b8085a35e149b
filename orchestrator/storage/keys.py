"""Which keys are allowed: only those that no file system and no URL can misunderstand."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}", re.ASCII)
_MAX_LENGTH = 900  # S3 stops at 1024 bytes, and the bucket's prefix comes in front of the key


def is_name(name: str) -> bool:
    """Whether `name` may be one segment of a key."""
    return _NAME.fullmatch(name) is not None


def is_key(key: str) -> bool:
    """Whether `key` is relative, not too long, and has no empty, hidden or strange segment."""
    return len(key) <= _MAX_LENGTH and all(map(is_name, key.split("/")))


def check_key(key: str) -> str:
    """`key` itself, or ValueError."""
    if not is_key(key):
        raise ValueError(f"not a storage key: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """`prefix` as "" or as a folder that ends with a slash; else ValueError."""
    return f"{check_key(prefix.removesuffix('/'))}/" if prefix else ""
