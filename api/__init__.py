"""The HTTP side of the orchestrator: requests in, use cases called, answers out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Flask

from api import (
    admin,
    auth,
    batches,
    downloads,
    errors,
    estimates,
    events,
    health,
    holds,
    inbound,
    keys,
    metrics,
    models,
    pages,
    providers,
    quotas,
    rates,
    retries,
    sessions,
    streams,
    tracing,
    uploads,
    users,
    videos,
    waiting,
    webhooks,
)
from api.current import EXTENSION
from api.facade import models as facade_models
from api.facade import videos as facade_videos
from orchestrator import context, settings
from orchestrator.context import Context

BLUEPRINTS = (
    videos.blueprint,
    batches.blueprint,
    estimates.blueprint,
    downloads.blueprint,
    events.blueprint,
    streams.blueprint,
    webhooks.blueprint,
    inbound.blueprint,
    quotas.blueprint,
    models.blueprint,
    facade_videos.blueprint,
    facade_models.blueprint,
    sessions.blueprint,
    users.blueprint,
    keys.blueprint,
    holds.blueprint,
    providers.blueprint,
    retries.blueprint,
    admin.blueprint,
    health.blueprint,
    metrics.blueprint,
    pages.blueprint,
)


class Application(Flask):
    """Flask without coroutines: to look whether each function is one takes a request as long as
    finding its view.
    """

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def create_app(
    ctx: Context | None = None, *, monotonic: Callable[[], float] = time.monotonic
) -> Flask:
    """The WSGI application; nothing is opened yet.

    Args:
        ctx: None: made from the environment.
        monotonic: the clock by which keys are remembered, in seconds.
    Raises:
        ConfigurationError: the environment makes no sense.
    """
    ctx = ctx or context.build(settings.load(), application="orchestrator web")
    app = Application(__name__, static_folder="static")
    # Ids of users may hold slashes, two in a row among them.
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = ctx
    tracing.install(app)
    errors.install(app)
    uploads.install(app)
    auth.install(app, ctx, monotonic=monotonic)
    rates.install(app)
    waiting.install(app, ctx)
    streams.install(app, ctx)
    metrics.install(app, ctx)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    pages.install_static(app)
    return app
