"""The whole product in threads of a test: the application behind a real socket, and workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator import dispatch, reconcile
from orchestrator.context import Context
from orchestrator.sandbox.server import Server
from orchestrator.steps import poll, store, submit, watch
from tests.factories import RingRecorder

_TASKS: dict[str, Callable[..., None]] = {
    "create": submit.submit,
    "remix": submit.submit,
    "poll": poll.poll,
    "store": store.store,
    "reconcile": reconcile.reconcile,
    "watch": watch.watch,
}
_PAUSE_SECONDS = 0.02


@contextmanager
def served(app: Any) -> Iterator[str]:
    """A WSGI application on a port of its own, until the block ends; its address."""
    server = Server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.close()
        thread.join(timeout=10)


@contextmanager
def worked(ctx: Context) -> Iterator[None]:
    """Somebody does what is rung in this context, and sweeps, until the block ends."""
    stop = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            while not stop.wait(_PAUSE_SECONDS):
                work_once(ctx)
        except Exception as error:  # it belongs to the test, not to a thread that nobody asks
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
    assert [] == errors


def work_once(ctx: Context) -> None:
    """Sweep, and do everything that was rung."""
    dispatch.sweep(ctx)
    broker = ctx.broker
    assert isinstance(broker, RingRecorder)
    while broker.rings:
        ring = broker.rings.pop(0)
        if ring.task in _TASKS:
            _TASKS[ring.task](ctx, *ring.args)
