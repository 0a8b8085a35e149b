"""Talking to providers: one small protocol, one implementation over the `openai` SDK.

Importing this package is cheap; the SDK (half a second) is loaded when the first one is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import sleep

from orchestrator.catalog import Provider
from orchestrator.providers.content import Download
from orchestrator.providers.protocol import (
    CreateRequest,
    InputReference,
    Probe,
    ProviderVideo,
    Span,
    VideoProvider,
    Walk,
)

__all__ = [
    "CreateRequest",
    "Download",
    "InputReference",
    "Probe",
    "ProviderVideo",
    "Span",
    "VideoProvider",
    "Walk",
    "open_provider",
]


def open_provider(
    provider: Provider,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = sleep,
) -> VideoProvider:
    """A client of this provider: open one per process, share it between threads, close it.

    clock: our time, aware. sleep: waits between the two tries of a read.
    """
    from orchestrator.providers.openai_client import OpenAIVideos  # see above: cheap until needed

    return OpenAIVideos(provider, clock=clock, sleep=sleep)
