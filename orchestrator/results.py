"""What a provider has finished: what it charges for it, and how long the bytes stay there."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db.polling import Generated
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video


def generated(
    ctx: Context, provider: Provider, video: Video, attempt: Attempt, found: ProviderVideo
) -> Generated:
    """What is written of a video that its provider shows as completed."""
    now = datetime.now(UTC)
    expires = now + provider.profile.retention
    if found.expires_at is not None and found.expires_at > now:
        expires = found.expires_at
    return Generated(
        video.id, attempt.n, found.raw_status, charged(ctx, provider, video, found), expires
    )


def charged(ctx: Context, provider: Provider, video: Video, found: ProviderVideo) -> Decimal:
    """What the provider charges for what it has made, which may differ from what was asked for."""
    # Of an extension the provider tells the length with its source, which was paid for before.
    seconds = video.extension_seconds or found.seconds or video.seconds
    return ctx.catalog.price(provider, video.model, found.size or video.size, seconds)
