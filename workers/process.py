"""What the tasks of one worker process share: its context, opened with the first task, and its
sweep.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import structlog

from orchestrator import dispatch
from orchestrator.context import Context, build
from orchestrator.errors import OrchestratorError
from orchestrator.metrics import Reporter
from orchestrator.settings import load

SWEEP_SECONDS = 5.0
DELIVERING = 16
"""Threads of one process that wait for receivers of webhooks; the others are for videos."""
LEAVE_SECONDS = 3.0
"""How long Celery may take to end the process when nothing is left to do; it needs one."""

log = structlog.get_logger(__name__)
_building = threading.Lock()
_stopping = threading.Event()
_delivering = threading.BoundedSemaphore(DELIVERING)


def context() -> Context:
    """The context of this process."""
    # The first tasks come at the same time, and a cache alone would let each build one of its own.
    with _building:
        return _context()


@cache
def _context() -> Context:
    return build(load(), application="orchestrator worker")


@cache
def reporter() -> Reporter:
    """Tells what this process counts."""
    return Reporter(context(), "worker")


@contextmanager
def delivering() -> Iterator[bool]:
    """Whether this process may wait for one more receiver. If not, the sweep will ring again."""
    free = _delivering.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            _delivering.release()


def warm_up() -> None:
    """Open the clients of all providers: the first loads the SDK, which takes a second or two. The
    first video need not wait for that.
    """
    for provider in context().catalog.providers.values():
        if not stopping():
            context().pool.get(provider)


def keep_sweeping() -> None:
    """Sweep every few seconds until the worker stops, out of step with the others."""
    while not _stopping.wait(SWEEP_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
        try:
            dispatch.sweep(context())
        except OrchestratorError as error:
            log.warning("sweep_failed", reason=error.code)
        except Exception:
            # The next sweep may do better; a worker that silently no longer sweeps would be worse
            # than a log line.
            log.exception("sweep_failed")


def stop() -> None:
    """No new sweeps and no new work: the worker is going down. What a message names and was not
    begun goes to somebody else.
    """
    _stopping.set()
    if _context.cache_info().currsize:
        context().crew.stop()


def stopping() -> bool:
    """Whether this worker is going down."""
    return _stopping.is_set()


def leave(busy: Callable[[], bool]) -> None:
    """End the process once nothing is being worked on, should Celery not do so: while its broker is
    away it tries to reach it and hears of nothing else.
    """
    while busy():
        time.sleep(0.2)
    time.sleep(LEAVE_SECONDS)
    log.warning("left_without_celery")
    os._exit(0)


def close() -> None:
    """Give connections back. Leases that are still held run out by themselves. A later use opens
    everything anew.
    """
    if reporter.cache_info().currsize:
        reporter().close()
        reporter.cache_clear()
    if _context.cache_info().currsize:
        context().close()
        _context.cache_clear()
