"""Which provider a waiting video goes to when the one it waits for turns everybody away.

Only for models that were given fallbacks, only for plain creates, and never once an attempt's
outcome was unknown: then the first provider may have it, and a second one would be paid for the
same.
"""

from __future__ import annotations

from collections import defaultdict

import structlog

from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import providers, routing
from orchestrator.records import Video

log = structlog.get_logger(__name__)

BATCH = 500


def reroute(ctx: Context) -> int:
    """Move videos that wait for a paused provider to the first fallback that is not. Returns how
    many.
    """
    models = [model.name for model in ctx.catalog.models.values() if len(model.providers) > 1]
    if not models:
        return 0
    with ctx.database.statement() as connection:
        paused = providers.paused(connection)
    moved = 0
    for model in models:
        candidates = ctx.catalog.candidates(model)
        able = [each for each in candidates if (each.name, each.account) not in paused]
        if able:
            shut = [each for each in candidates if (each.name, each.account) in paused]
            moved += sum(_move_all(ctx, model, provider, able) for provider in shut)
    if moved:
        log.info("rerouted", videos=moved)
    return moved


def _move_all(ctx: Context, model: str, provider: Provider, able: list[Provider]) -> int:
    """Look first, then move: what cannot go is neither locked nor written."""
    source = (provider.name, provider.account)
    with ctx.database.statement() as connection:
        waiting = routing.movable(
            connection, *source, model, open_to=[each.name for each in able], limit=BATCH
        )
    chosen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for video in waiting:
        # Asked anew: rules may have changed since the video was accepted.
        other = next((each for each in _takers(ctx, video) if each in able), None)
        if other is not None:
            chosen[other.name, other.account].append(video.id)
    moved = 0
    for target, video_ids in chosen.items():
        with ctx.database.statement() as connection:
            moved += routing.move(connection, video_ids, source=source, target=target)
    return moved


def _takers(ctx: Context, video: Video) -> tuple[Provider, ...]:
    return ctx.catalog.takers(
        video.model,
        seconds=video.seconds,
        size=video.size,
        prompt=video.prompt,
        has_image=video.input_key is not None,
    )
