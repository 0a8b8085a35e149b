"""The tasks: each takes ids and calls one use case. Whatever goes wrong, the sweep sees
it again.
"""

from __future__ import annotations

import structlog
from celery import Celery

from orchestrator import dispatch, reconcile
from orchestrator.steps import poll, store, submit, watch
from workers.process import context

log = structlog.get_logger(__name__)


def create_video(video_id: str) -> None:
    """Submit a new video."""
    submit.submit(context(), video_id)


def remix_video(video_id: str) -> None:
    """Submit a remix."""
    submit.submit(context(), video_id)


def poll_videos(video_ids: list[str]) -> None:
    """Look how far these videos are."""
    poll.poll(context(), video_ids)


def store_video(video_id: str) -> None:
    """Copy a finished video into our storage."""
    store.store(context(), video_id)


def reconcile_account(provider: str, account: str) -> None:
    """Find out what became of submissions of unknown outcome."""
    reconcile.reconcile(context(), provider, account)


def watch_account(provider: str, account: str) -> None:
    """Follow attempts whose video has moved on."""
    watch.watch(context(), provider, account)


def sweep() -> None:
    """Look for what is due, expired or forgotten."""
    dispatch.sweep(context())


def register(app: Celery) -> None:
    """Give the tasks the names that rings use, and that people see in Flower."""
    for name, function, queue in (
        ("create", create_video, "create"),
        ("remix", remix_video, "remix"),
        ("poll", poll_videos, "poll"),
        ("store", store_video, "store"),
        ("reconcile", reconcile_account, "dispatch"),
        ("watch", watch_account, "poll"),
        ("dispatch", sweep, "dispatch"),
    ):
        app.task(name=name, queue=queue)(function)
