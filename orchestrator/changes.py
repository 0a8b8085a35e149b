"""What follows a committed change: the cache learns of it, readers of streams are woken, and the
right queue is rung. All of it may fail.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator import views
from orchestrator.broker import stores, submits
from orchestrator.context import Context
from orchestrator.records import Video


def published(ctx: Context, videos: Iterable[Video]) -> None:
    """Call after the commit: put the new states into the cache, and wake whoever watches."""
    changed = list(videos)
    ctx.cache.put_videos([views.video(video) for video in changed])
    ctx.wakes.tell((video.user_id, video.id) for video in changed)


def ring_submits(ctx: Context, videos: Iterable[Video]) -> None:
    """Ring for those that were admitted in their own transaction; the sweep rings for
    the others.
    """
    ctx.broker.ring(
        submits((video.id, video.kind) for video in videos if video.admitted_at is not None)
    )


def ring_stores(ctx: Context, videos: Iterable[Video]) -> None:
    """Ring for videos whose bytes wait at the provider."""
    ctx.broker.ring(stores(video.id for video in videos))
