"""Celery as a doorbell: messages that name ids, may be lost, doubled or late, and never hold the
truth.

The settings follow from trials: early acknowledgement with prefetch off (late acknowledgement makes
a worker exit when the broker restarts, and a message is redelivered only after an hour), no
results, no ETA, no retries by Celery.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import redis
import structlog

from orchestrator.breaker import Breaker
from orchestrator.meters import UNRUNG, Meters
from orchestrator.redis_client import open_client
from orchestrator.rings import Ring, message

if TYPE_CHECKING:
    from celery import Celery

log = structlog.get_logger(__name__)

QUEUES = ("dispatch", "create", "remix", "poll", "store", "deliver")
KEY_PREFIX = "vq:"
_SOCKET = "redis+socket://"


def celery_app(url: str) -> Celery:
    """A Celery application for workers: it waits for its broker for ever."""
    # Here, since only workers need it: a web process starts a third of a second sooner.
    from celery import Celery
    from kombu.entity import Exchange, Queue

    app = Celery("orchestrator", broker=url)
    transport: dict[str, Any] = {
        "global_keyprefix": KEY_PREFIX,
        # Acknowledged before its task begins, a message would hardly ever be found unacknowledged.
        # To note each of them and to strike it out again was half of what a message costs a worker.
        "ack_emulation": False,
        "socket_keepalive": True,
        # Without a read timeout a half-open connection silently hangs the worker for ever.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "health_check_interval": 5,
    }
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
        broker_connection_timeout=4,
        broker_pool_acquire_timeout=5,
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
    """Publishes rings, without Celery: its publisher takes half a millisecond for each. A failure
    is a log line and a short silence: the sweep rings again.
    """

    def __init__(
        self,
        url: str,
        *,
        meters: Meters | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._url = url
        self._meters = meters or Meters()
        self._breaker = Breaker(monotonic)
        # A broker that is down should cost one request 0.2 s, not every request.
        self._redis = open_client(_address(url), patience=0.2)

    def ring(self, rings: Sequence[Ring]) -> bool:
        """Publish these messages, all in one round trip. False: at least one may not have
        arrived.
        """
        if not rings:
            return True
        if self._breaker.is_open:
            self._meters.count(UNRUNG, n=len(rings))
            return False
        by_queue: dict[str, list[bytes]] = defaultdict(list)
        for ring in rings:
            by_queue[ring.queue].append(message(ring))
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for queue, messages in by_queue.items():
                    pipeline.lpush(KEY_PREFIX + queue, *messages)
                pipeline.execute()
        except redis.RedisError as error:
            self._breaker.trip()
            self._meters.count(UNRUNG, n=len(rings))
            log.warning("ring_failed", rings=len(rings), error=type(error).__name__)
            return False
        return True

    def depths(self) -> dict[str, int] | None:
        """Messages waiting in each queue; None when the broker does not answer."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in QUEUES:
                    pipeline.llen(KEY_PREFIX + name)
                return dict(zip(QUEUES, pipeline.execute(), strict=True))
        except redis.RedisError:
            return None

    def workers(self, timeout: float) -> dict[str, frozenset[str]]:
        """The workers that answer within `timeout` seconds, by name, and the queues that each takes
        from; none without a broker.
        """
        from kombu.exceptions import KombuError

        if self.depths() is None:
            return {}
        app = celery_app(self._url)
        try:
            answers = app.control.inspect(timeout=timeout).active_queues() or {}
        except (OSError, KombuError, redis.RedisError):
            return {}
        finally:
            app.close()
        return {
            name: frozenset(queue["name"] for queue in queues or ())
            for name, queues in sorted(answers.items())
        }

    def close(self) -> None:
        """Close the idle connections; a later use opens new ones."""
        self._redis.close()


def _address(url: str) -> str:
    """The URL as the library writes it: Celery has a form of its own for sockets."""
    if not url.startswith(_SOCKET):
        return url
    parts = urlsplit(url)
    number = parse_qs(parts.query).get("virtual_host", ["0"])[0]
    return f"unix://{parts.netloc}{parts.path}?db={number}"
