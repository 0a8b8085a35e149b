"""The OpenAI-compatible facade as its clients meet it: over a socket, a sandbox behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from api import create_app
from orchestrator.catalog import single_provider_catalog
from orchestrator.context import Context
from orchestrator.providers import open_provider
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from tests.factories import make_context, make_settings
from tests.served import served, worked

FAST = {"poll_min_seconds": 0.05, "retry_base_seconds": 0.05, "reconcile_grace_seconds": 0.1}


@dataclass(frozen=True, slots=True)
class Facade:
    """A running installation. `base_url` ends in /v1."""

    ctx: Context
    app: Flask
    base_url: str
    sandbox: RunningSandbox


@contextmanager
def facade(
    database_url: str, redis_url: str, tmp_path: Path, *, middleware: Any = None, **settings: Any
) -> Iterator[Facade]:
    """An installation over a sandbox that is done in no time, with workers."""
    with running_sandbox(instant_video=True, render_seconds=0.2) as sandbox:
        catalog = single_provider_catalog(base_url=sandbox.base_url, profile="sandbox")
        options = {**FAST, "catalog": catalog, **settings}
        ctx = make_context(
            make_settings(database_url, redis_url, tmp_path, **options), open_client=open_provider
        )
        app = create_app(ctx)
        wsgi = app if middleware is None else middleware(app)
        try:
            with served(wsgi) as url, worked(ctx):
                yield Facade(ctx, app, f"{url}/v1", sandbox)
        finally:
            ctx.close()
