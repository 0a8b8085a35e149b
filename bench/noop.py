"""The worker's Celery application with a provider inside it that does nothing: what is left is the
orchestrator's own work. For `celery -A bench.noop worker`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bench.movie import MOVIE
from orchestrator import context
from orchestrator.catalog import Provider
from orchestrator.context import Context, ProviderPool
from orchestrator.providers import CreateRequest, Download, ProviderVideo, Span, VideoProvider, Walk
from workers import process


class NoopProvider:
    """Every video is done as soon as it is asked for. Keeps nothing, so all processes agree."""

    def create(self, request: CreateRequest) -> ProviderVideo:
        """Done."""
        return self.retrieve(request.attempt_id)

    def retrieve(self, provider_video_id: str) -> ProviderVideo:
        """Done, whatever it is."""
        return ProviderVideo(provider_video_id, provider_video_id, "completed", "completed")

    def walk(self, span: Span) -> Walk:
        """Nothing to see; whoever walks then asks one by one, which costs nothing here."""
        return Walk((), reached=True, server_offset=timedelta(0))

    @contextmanager
    def download(self, provider_video_id: str, variant: str = "video") -> Iterator[Download]:
        """A small file, always the same."""
        yield Download("video/mp4", len(MOVIE), iter([MOVIE]))

    def close(self) -> None:
        """Nothing was opened."""


def open_noop(_: Provider) -> VideoProvider:
    """The client of any provider."""
    provider: Any = NoopProvider()  # what remixes and deletes need is not here: nobody asks
    return provider  # type: ignore[no-any-return]


def build(*arguments: Any, **options: Any) -> Context:
    """A worker's context, but for its provider."""
    return replace(context.build(*arguments, **options), pool=ProviderPool(open_noop))


# Before the application is imported below, whose tasks ask there for their context. There is no
# setting for it: nobody should ever run this in earnest.
process.build = build  # type: ignore[attr-defined]

from workers.app import app as app  # noqa: E402 - see above
