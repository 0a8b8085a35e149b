"""Which provider a waiting video goes to when the one it waits for turns everybody away.

Only for models that were given fallbacks, only for plain creates, and never once an attempt's
outcome was unknown: then the first provider may have it, and a second one would be paid for the
same.
"""

from __future__ import annotations

import structlog

from orchestrator.catalog import Catalog, Provider
from orchestrator.context import Context
from orchestrator.db import providers, routing
from orchestrator.db.engine import Connection
from orchestrator.errors import OrchestratorError
from orchestrator.records import Video

log = structlog.get_logger(__name__)

BATCH = 500


def reroute(ctx: Context) -> int:
    """Move videos that wait for a paused provider to the first fallback that is not. Returns how
    many.
    """
    models = [model for model in ctx.catalog.models.values() if len(model.providers) > 1]
    if not models:
        return 0
    moved = 0
    with ctx.database.transaction() as connection:
        paused = providers.paused(connection)
        for model in models:
            for provider in ctx.catalog.candidates(model.name):
                if (provider.name, provider.account) in paused:
                    moved += _move_all(ctx.catalog, connection, provider, model.name, paused)
    if moved:
        log.info("rerouted", videos=moved)
    return moved


def _move_all(
    catalog: Catalog,
    connection: Connection,
    provider: Provider,
    model: str,
    paused: set[tuple[str, str]],
) -> int:
    waiting = routing.movable(connection, provider.name, provider.account, model, limit=BATCH)
    moved = 0
    for video in waiting:
        other = _choose(catalog, video, paused)
        if other is not None:
            routing.move(connection, video.id, other.name, other.account)
            moved += 1
    return moved


def _choose(catalog: Catalog, video: Video, paused: set[tuple[str, str]]) -> Provider | None:
    """The first provider in the model's order that is open and would take this request."""
    for candidate in catalog.candidates(video.model):
        if (candidate.name, candidate.account) in paused or not takes(catalog, candidate, video):
            continue
        return candidate
    return None


def takes(catalog: Catalog, provider: Provider, video: Video) -> bool:
    """Whether this provider allows what the video asks for: rules differ."""
    try:
        catalog.check(
            provider,
            model=video.model,
            seconds=video.seconds,
            size=video.size,
            prompt=video.prompt,
            has_image=video.input_key is not None,
            kind=video.kind,
        )
    except OrchestratorError:
        return False
    return True
