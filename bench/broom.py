"""Takes admitted videos and their messages away as they come, as workers with nothing to do for
them would.

Without it 500 videos would be admitted and rung, and all later ones wait in the backlog: a
submission would then spare itself the publishing of its message.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import redis

from orchestrator.broker import KEY_PREFIX, QUEUES

_PAUSE_SECONDS = 0.02
_MESSAGES = [f"{KEY_PREFIX}{name}" for name in QUEUES]


@contextmanager
def sweeping(database_url: str, redis_url: str) -> Iterator[None]:
    """Nobody waits at the beginning of the block, and what is admitted is gone a moment later."""
    stop = threading.Event()
    with closing(psycopg2.connect(database_url)) as connection, redis.from_url(redis_url) as client:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # As a replica, no foreign key is looked at: this must cost as little as possible.
            cursor.execute("set session_replication_role = replica")
            cursor.execute("delete from videos where status = 'queued'")
        thread = threading.Thread(target=_sweep, args=(connection, client, stop), name="broom")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _sweep(
    connection: psycopg2.extensions.connection, client: redis.Redis, stop: threading.Event
) -> None:
    with connection.cursor() as cursor:
        while not stop.wait(_PAUSE_SECONDS):
            cursor.execute("delete from videos where status = 'queued' and admitted_at is not null")
            client.delete(*_MESSAGES)
