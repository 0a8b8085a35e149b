"""Counts what a provider is asked, how long it takes and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

from orchestrator.errors import OrchestratorError
from orchestrator.meters import PROVIDER_CALLS, PROVIDER_SECONDS, Meters
from orchestrator.providers.content import Download
from orchestrator.providers.protocol import (
    CreateRequest,
    Probe,
    ProviderVideo,
    Span,
    VideoProvider,
    Walk,
)

T = TypeVar("T")


class MeteredProvider:
    """A `VideoProvider` like the one inside."""

    def __init__(self, name: str, inner: VideoProvider, meters: Meters):
        self._name = name
        self._inner = inner
        self._meters = meters

    def create(self, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._counted("create", lambda: self._inner.create(request))

    def remix(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._counted("remix", lambda: self._inner.remix(source_id, request))

    def edit(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._counted("edit", lambda: self._inner.edit(source_id, request))

    def extend(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._counted("extend", lambda: self._inner.extend(source_id, request))

    def retrieve(self, provider_video_id: str) -> ProviderVideo:
        """See `VideoProvider`."""
        return self._counted("retrieve", lambda: self._inner.retrieve(provider_video_id))

    def walk(self, span: Span) -> Walk:
        """See `VideoProvider`. All pages are one call here."""
        return self._counted("walk", lambda: self._inner.walk(span))

    def delete(self, provider_video_id: str) -> None:
        """See `VideoProvider`."""
        self._counted("delete", lambda: self._inner.delete(provider_video_id))

    @contextmanager
    def download(self, provider_video_id: str, variant: str = "video") -> Iterator[Download]:
        """See `VideoProvider`. It lasts until the caller has read what it wants."""
        began = perf_counter()
        outcome = "ok"
        try:
            with self._inner.download(provider_video_id, variant) as download:
                yield download
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            self._note("download", began, outcome)

    def probe(self) -> Probe:
        """See `VideoProvider`."""
        return self._inner.probe()

    def close(self) -> None:
        """See `VideoProvider`."""
        self._inner.close()

    def _counted(self, operation: str, call: Callable[[], T]) -> T:
        began = perf_counter()
        outcome = "ok"
        try:
            return call()
        except Exception as error:
            outcome = _outcome(error)
            raise
        finally:
            self._note(operation, began, outcome)

    def _note(self, operation: str, began: float, outcome: str) -> None:
        seconds = perf_counter() - began
        labels = (self._name, operation)
        self._meters.timed(PROVIDER_CALLS, PROVIDER_SECONDS, seconds, labels, outcome)


def _outcome(error: Exception) -> str:
    """One of a few words: our code, never what the provider said."""
    return type(error).code if isinstance(error, OrchestratorError) else "internal_error"
