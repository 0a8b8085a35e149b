"""What tests of the adapter share: a client of a scripted server, and what such a server says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from orchestrator.catalog import PROFILES, Provider
from orchestrator.providers import (
    CreateRequest,
    VideoProvider,
    open_provider,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HTTP_NOW = "Sun, 22 Nov 2026 12:00:00 GMT"
JOB = {
    "id": "video_abc",
    "object": "video",
    "model": "sora-2",
    "status": "queued",
    "progress": 0,
    "created_at": 1_795_348_800,
    "seconds": "4",
    "size": "720x1280",
    "prompt": "a cat",
}
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 4


def request(**changes: Any) -> CreateRequest:
    """A request, like the default one but for these."""
    wish = CreateRequest("video_1-1", "sora-2", "a cat", "4", "720x1280")
    return replace(wish, **changes)


@contextmanager
def client(base_url: str, profile: str = "openai", **changes: Any) -> Iterator[VideoProvider]:
    """The adapter for a server of this profile at this address; `changes` are its settings."""
    settings = {"read_timeout": 5.0, "create_timeout": 5.0, "connect_timeout": 2.0, **changes}
    provider = Provider("main", PROFILES[profile], base_url, api_key="sk-secret", **settings)
    opened = open_provider(provider, clock=lambda: NOW, sleep=lambda seconds: None)
    try:
        yield opened
    finally:
        opened.close()
