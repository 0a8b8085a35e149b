"""What follows a committed change: the cache learns of it, readers of streams are woken, and the
right queue is rung. All of it may fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from orchestrator import views
from orchestrator.context import Context
from orchestrator.db.queue import Due
from orchestrator.meters import CREATED, DOLLARS, ENDED, VIDEO_SECONDS
from orchestrator.records import Video
from orchestrator.rings import Ring, stores, submits
from orchestrator.traces import Deed


def published(ctx: Context, videos: Iterable[Video], *, cached: bool = True) -> list[bytes]:
    """Call after the commit: put the new states into the cache, and wake whoever watches. Returns
    the JSON that `GET /api/videos/{id}` answers of each, in order.

    cached: False for new videos, of which the cache knows nothing that could be too old.
    """
    changed = list(videos)
    for video in changed:
        _count(ctx, video)
    texts = views.texts(changed)
    if cached:
        ctx.cache.put_videos(changed, texts)
    ctx.wakes.tell((video.user_id, video.id) for video in changed)
    return texts


def _count(ctx: Context, video: Video) -> None:
    """Its beginning and its end, each of which is one change: what has the time of that change."""
    if video.created_at == video.updated_at:
        ctx.meters.count(CREATED, video.model)
    elif video.finished_at == video.updated_at:
        ctx.meters.count(ENDED, video.model, video.status, video.error_code or "")
        _trace(ctx, video, video.finished_at)
        if video.completed_at is not None:
            since = max(video.created_at, video.run_at or video.created_at)
            seconds = (video.completed_at - since).total_seconds()
            ctx.meters.observe(VIDEO_SECONDS, seconds, video.model)
            cost = float(video.cost_actual)
            ctx.meters.count(DOLLARS, video.provider, video.model, n=cost)


def _trace(ctx: Context, video: Video, ended: datetime) -> None:
    """Its whole life, in which what it waited for lies between the spans of those who worked."""
    if ctx.traces.on:
        about = {
            "status": video.status,
            "model": video.model,
            "provider": video.provider,
            "user_id": video.user_id,
        }
        whole = (video.created_at.timestamp(), ended.timestamp())
        ctx.traces.span([video.id], Deed("video", *whole, about, video.error_code or ""))


def ring_submits(
    ctx: Context, videos: Iterable[Video], origins: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Ring for those that were admitted in their own transaction; the sweep rings for
    the others. `origins`: by which request each was made.
    """
    rings = submit_rings(ctx, [video for video in videos if video.admitted_at is not None])
    for ring in rings:
        ring.origins.update({v: origins[v] for v in ring.args if v in origins})
    ctx.broker.ring(rings)


def submit_rings(ctx: Context, admitted: Iterable[Video | Due]) -> list[Ring]:
    """Several videos in a message, but only one where the provider has no list: the attempts of a
    message are written before its first call, and after a crash nobody could tell there which of
    them were sent. All would have to be held.
    """
    kinds: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for video in admitted:
        provider = ctx.catalog.provider(video.provider, video.account)
        listed = provider is not None and provider.profile.list != "none"
        kinds[listed].append((video.id, video.kind))
    return [ring for listed, videos in kinds.items() for ring in submits(videos, together=listed)]


def ring_stores(ctx: Context, videos: Iterable[Video]) -> None:
    """Ring for videos whose bytes wait at the provider."""
    ctx.broker.ring(stores(video.id for video in videos))
