"""Makes what tests work with: real database and cache, no provider."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.cache import Cache
from orchestrator.catalog import Provider, single_provider_catalog
from orchestrator.context import Context, ProviderPool
from orchestrator.db import transitions
from orchestrator.db.transitions import After
from orchestrator.leases import Leases
from orchestrator.lifecycle import ACCEPT, COMPLETE, FAIL, QuotaState
from orchestrator.limits import Limits
from orchestrator.providers import VideoProvider
from orchestrator.records import Video
from orchestrator.rings import Ring
from orchestrator.settings import Settings
from orchestrator.storage import open_storage
from orchestrator.tallies import Tallies
from orchestrator.wakes import Wakes
from tests.kept import kept_database

NOWHERE = "redis://127.0.0.1:1/0"
MOVIE = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 40


class RingRecorder:
    """A broker that keeps what was rung."""

    def __init__(self) -> None:
        self.rings: list[Ring] = []

    def ring(self, rings: Sequence[Ring]) -> bool:
        """Keep these rings."""
        self.rings += rings
        return True

    def depths(self) -> dict[str, int]:
        """Nothing waits."""
        return {}

    def close(self) -> None:
        """Nothing was opened."""


def no_provider(provider: Provider) -> VideoProvider:
    """For contexts whose provider must not be called."""
    raise AssertionError(f"nobody may call {provider.name} here")


def make_settings(database_url: str, redis_url: str, tmp_path: Path, **changes: Any) -> Settings:
    """Settings for one test: the sandbox's rules, a folder of its own, and no need of keys."""
    base = Settings(
        database_url=database_url,
        db_pool_size=10,
        redis_url=redis_url,
        broker_url=redis_url,
        catalog=single_provider_catalog(base_url="http://127.0.0.1:1/v1", profile="sandbox"),
        storage_url=f"file://{tmp_path / 'storage'}",
        auth="off",
    )
    return replace(base, **changes)


def make_context(
    settings: Settings,
    *,
    broker: Any = None,
    open_client: Any = no_provider,
) -> Context:
    """A context whose broker records and whose provider is the given one. Close it."""
    database = kept_database(settings.database_url, settings.db_pool_size)
    return Context(
        settings=settings,
        database=database,
        cache=Cache(settings.redis_url),
        limits=Limits(settings.redis_url),
        broker=broker or RingRecorder(),
        storage=open_storage(settings.storage_url, settings.storage_env),
        leases=Leases(database, settings.lease_seconds),
        pool=ProviderPool(open_client),
        wakes=Wakes(settings.redis_url),
        tallies=Tallies(settings.redis_url),
    )


def complete(ctx: Context, video_id: str, movie: bytes = MOVIE) -> Video:
    """Bring a queued video to its end as the workers would, with these bytes stored."""
    key = f"videos/{video_id}/{'ab' * 32}.mp4"
    picture = f"videos/{video_id}/{'cd' * 32}.webp"
    ctx.storage.put(key, [movie], content_type="video/mp4")
    ctx.storage.put(picture, [make_image("WEBP")], content_type="image/webp")
    start(ctx, video_id)
    with ctx.database.transaction() as connection:
        completed = transitions.transition(
            connection,
            video_id,
            COMPLETE,
            settle=QuotaState.KEPT,
            values={
                "progress": 100,
                "completed_at": After(0),
                "content_key": key,
                "content_sha256": "ab" * 32,
                "content_bytes": len(movie),
                "content_type": "video/mp4",
                "thumbnail_key": picture,
            },
        )
    assert completed is not None
    ctx.cache.clear_videos()
    return completed


def start(ctx: Context, video_id: str) -> Video:
    """Let a queued video be in progress."""
    with ctx.database.transaction() as connection:
        accepted = transitions.transition(
            connection, video_id, ACCEPT, values={"step": "poll", "due_at": After(60)}
        )
    assert accepted is not None
    ctx.cache.clear_videos()
    return accepted


def fail(ctx: Context, video_id: str, code: str = "provider_rejected") -> Video:
    """Let a video fail."""
    with ctx.database.transaction() as connection:
        failed = transitions.transition(
            connection,
            video_id,
            FAIL,
            settle=QuotaState.RELEASED,
            values={"error_code": code, "error_message": "No."},
        )
    assert failed is not None
    ctx.cache.clear_videos()
    return failed


def make_image(kind: str = "PNG", size: tuple[int, int] = (4, 4)) -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()
