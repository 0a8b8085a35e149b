"""Celery as a doorbell: messages that name ids, may be lost, doubled or late, and never hold the
truth.

The settings follow from trials: early acknowledgement with prefetch off (late acknowledgement makes
a worker exit when the broker restarts, and a message is redelivered only after an hour), no
results, no ETA, no retries by Celery.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import redis
import structlog
from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError

from orchestrator.breaker import Breaker

log = structlog.get_logger(__name__)

QUEUES = ("dispatch", "create", "remix", "poll", "store", "deliver")
KEY_PREFIX = "vq:"
_NO_RETRY = {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_FAULTS = (OSError, KombuError, redis.RedisError)


@dataclass(frozen=True, slots=True)
class Ring:
    """One message: a task by name, on the queue of the same name unless said otherwise."""

    task: str
    args: tuple[Any, ...]
    queue: str


def celery_app(url: str, *, publisher: bool) -> Celery:
    """A Celery application for one role. A publisher gives up after 0.2 s; a worker waits for its
    broker for ever.
    """
    app = Celery("orchestrator", broker=url, set_as_current=not publisher)
    transport: dict[str, Any] = {
        "global_keyprefix": KEY_PREFIX,
        "visibility_timeout": 3600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
    }
    if publisher:
        transport |= {
            "socket_timeout": 0.2,
            "socket_connect_timeout": 0.2,
            "health_check_interval": 25,
        }
        transport |= _NO_RETRY
    else:
        # Without a read timeout a half-open connection silently hangs the worker for ever.
        transport |= {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": 5}
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=0.2 if publisher else 4,
        broker_pool_limit=64,
        broker_pool_acquire_timeout=0.2 if publisher else 5,
        task_publish_retry=True,
        task_publish_retry_policy=_NO_RETRY,
        broker_transport_options=transport,
        # A bare Queue("poll") would bind to the default routing key, and every message would land
        # in every queue.
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        task_default_queue="dispatch",
        task_default_exchange="dispatch",
        task_default_routing_key="dispatch",
        task_create_missing_queues=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=0,
        enable_utc=True,
        timezone="UTC",
    )
    return app


class Broker:
    """Publishes rings. A failure is a log line and a short silence: the sweep rings again."""

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic):
        self._url = url
        self._breaker = Breaker(monotonic)
        self._app: Celery | None = None
        self._lock = Lock()

    def ring(self, rings: Sequence[Ring]) -> bool:
        """Publish these messages, all in one pipeline. False: at least one may not have arrived."""
        if not rings:
            return True
        if self._breaker.is_open:
            return False
        try:
            self._publish(rings)
        except _FAULTS as error:
            # A broker that is down should cost one request 0.2 s, not every request.
            self._breaker.trip()
            log.warning("ring_failed", rings=len(rings), error=type(error).__name__)
            return False
        return True

    def _publish(self, rings: Sequence[Ring]) -> None:
        app = self._opened()
        with app.producer_pool.acquire(block=True, timeout=0.2) as producer:
            for ring in rings:
                app.send_task(
                    ring.task,
                    args=ring.args,
                    queue=ring.queue,
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )

    def depths(self) -> dict[str, int] | None:
        """Messages waiting in each queue; None when the broker does not answer."""
        try:
            with self._opened().connection_for_read() as connection:
                channel = connection.default_channel
                return {name: int(channel.client.llen(name)) for name in QUEUES}
        except _FAULTS:
            return None

    def workers(self, timeout: float) -> list[str]:
        """The names of the workers that answer within `timeout` seconds; none without a broker."""
        # A publisher's read timeout is shorter than the wait for an answer may be.
        app = celery_app(self._url, publisher=False)
        try:
            if self.depths() is None:
                return []
            return sorted(app.control.inspect(timeout=timeout).ping() or {})
        except _FAULTS:
            return []
        finally:
            app.close()

    def _opened(self) -> Celery:
        with self._lock:
            if self._app is None:
                self._app = celery_app(self._url, publisher=True)
            return self._app

    def close(self) -> None:
        """Close the pooled connections."""
        with self._lock:
            if self._app is not None:
                self._app.close()
                self._app = None


def submits(videos: Iterable[tuple[str, str]]) -> list[Ring]:
    """Rings for admitted videos given as (id, kind)."""
    return [
        Ring("remix", (video_id,), "remix")
        if kind != "create"
        else Ring("create", (video_id,), "create")
        for video_id, kind in videos
    ]


def polls(videos: Iterable[tuple[str, str, str]], *, chunk: int) -> list[Ring]:
    """Rings for due polls given as (id, provider, account): up to `chunk` videos of one account in
    a message.
    """
    by_account: dict[tuple[str, str], list[str]] = defaultdict(list)
    for video_id, provider, account in videos:
        by_account[provider, account].append(video_id)
    return [
        Ring("poll", (ids[start : start + chunk],), "poll")
        for ids in by_account.values()
        for start in range(0, len(ids), chunk)
    ]
