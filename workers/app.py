"""The Celery application: `celery -A workers.app worker -P threads …`.

Besides its tasks every worker process sweeps now and then, so that no single process is needed
to keep things moving.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog
from celery import signals
from celery.worker import state

from orchestrator import logs
from orchestrator.broker import celery_app
from orchestrator.settings import load
from workers import process, tasks

settings = load()
app = celery_app(settings.broker_url)
tasks.register(app)

log = structlog.get_logger(__name__)
_consumer: dict[str, Any] = {}
_CALLING = frozenset({"create", "remix", "poll", "store"})
"""Queues whose tasks call providers."""


@signals.setup_logging.connect
def _configure_logging(**_: object) -> None:
    logs.configure(settings, process="worker")


@signals.celeryd_init.connect
def _check_pool(options: dict[str, Any] | None = None, **_: object) -> None:
    # A class by now where the command line has named one.
    chosen = (options or {}).get("pool", "")
    pool = getattr(chosen, "__module__", str(chosen)).rpartition(".")[2]
    if pool and pool not in {"thread", "threads", "solo"}:
        # Leases and their heartbeat belong to one process with threads; forked children would share
        # its connections.
        log.warning("unsupported_pool", pool=pool, use="-P threads")


@signals.worker_ready.connect
def _start_sweeping(sender: Any = None, **_: object) -> None:
    _consumer["consumer"] = sender
    threading.Thread(target=process.keep_sweeping, name="sweep", daemon=True).start()
    if not _CALLING.isdisjoint(app.amqp.queues.consume_from):
        threading.Thread(target=process.warm_up, name="warm-up", daemon=True).start()
    process.reporter().start()


@signals.task_postrun.connect
def _wake_consumer(**_: object) -> None:
    """With prefetch off nothing tells the threads pool's consumer that a slot is free: it would
    look once a second.
    """
    consumer = _consumer.get("consumer")
    if consumer is not None:
        consumer.call_soon(lambda: None)


@signals.worker_shutting_down.connect
def _stop(**_: object) -> None:
    process.stop()
    _wake_consumer()
    threading.Thread(target=process.leave, args=(_busy,), name="leave", daemon=True).start()


def _busy() -> bool:
    return bool(state.reserved_requests or state.active_requests)


@signals.worker_shutdown.connect
def _close(**_: object) -> None:
    process.close()
