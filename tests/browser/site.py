"""The whole product for a browser: a real web process, a sandbox, and workers in a thread."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.catalog import Catalog, single_provider_catalog
from orchestrator.context import Context
from orchestrator.providers import open_provider
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from tests.factories import make_context, make_settings
from tests.served import worked

PATIENCE = 30.0


class Site:
    """A server that can be stopped and started again at the same address.

    ctx: what its workers work with; also for what a test does behind the back of the browser.
    """

    def __init__(self, ctx: Context, sandbox: RunningSandbox, env: dict[str, str]):
        self.ctx = ctx
        self.sandbox = sandbox
        self.url = f"http://127.0.0.1:{env['PORT']}"
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it serves."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            env=self._env,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._serves():
            assert time.monotonic() < deadline, "it does not serve"
            time.sleep(0.05)

    def stop(self) -> None:
        """Like a machine that loses its power."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _serves(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def site(
    database_url: str,
    redis_url: str,
    folder: Path,
    *,
    render_seconds: float = 0.5,
    pictures: bool = False,
    faults: str = "",
    profile: dict[str, Any] | None = None,
    **env: str,
) -> Iterator[Site]:
    """A site that serves until the block ends.

    render_seconds, faults: of the sandbox. pictures: it renders real ones, which takes seconds.
    profile: fields in which its profile differs. env: variables of the web process besides the
    usual ones.
    """
    with running_sandbox(
        render_seconds=render_seconds, instant_video=not pictures, faults=faults, seed=1
    ) as sandbox:
        settings = make_settings(
            database_url,
            redis_url,
            folder,
            catalog=_catalog(sandbox.base_url, profile or {}),
            poll_min_seconds=0.2,
            retry_base_seconds=0.1,
        )
        ctx = make_context(settings, open_client=open_provider)
        web = Site(ctx, sandbox, _environment(settings, sandbox) | env)
        try:
            with worked(ctx):
                web.start()
                yield web
        finally:
            web.stop()
            ctx.close()


def _environment(settings: Any, sandbox: RunningSandbox) -> dict[str, str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "OPENAI_BASE_URL": sandbox.base_url,
        "PROVIDER_PROFILE": "sandbox",
        "STORAGE_URL": settings.storage_url,
        "AUTH": "off",
        "PORT": str(port),
        "LOG_LEVEL": "ERROR",
    }


def _catalog(base_url: str, changes: dict[str, Any]) -> Catalog:
    plain = single_provider_catalog(base_url=base_url, profile="sandbox")
    (provider,) = plain.providers.values()
    changed = replace(provider, profile=replace(provider.profile, **changes))
    return Catalog(providers={changed.name: changed}, models=plain.models)
