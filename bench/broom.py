"""Takes admitted videos away as they come, as workers with nothing to do for them would.

Without it 500 videos would be admitted and rung, and all later ones wait in the backlog: a
submission would then spare itself the publishing of its message.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

_PAUSE_SECONDS = 0.02


@contextmanager
def sweeping(database_url: str) -> Iterator[None]:
    """Nobody waits at the beginning of the block, and what is admitted is gone a moment later."""
    connection = psycopg2.connect(database_url)
    stop = threading.Event()
    thread = threading.Thread(target=_sweep, args=(connection, stop), name="broom")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # As a replica, no foreign key is looked at: this must cost as little as possible.
            cursor.execute("set session_replication_role = replica")
            cursor.execute("delete from videos where status = 'queued'")
        thread.start()
        yield
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()
        connection.close()


def _sweep(connection: psycopg2.extensions.connection, stop: threading.Event) -> None:
    with connection.cursor() as cursor:
        while not stop.wait(_PAUSE_SECONDS):
            cursor.execute("delete from videos where status = 'queued' and admitted_at is not null")
