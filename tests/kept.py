"""Databases that are passed on from test to test.

Whoever connects anew waits for a process of PostgreSQL, which then looks up and plans everything
for the first time: 40 ms for the first submission of a test instead of 10.
"""

from __future__ import annotations

from functools import cache

from orchestrator.db.engine import Database


class KeptDatabase(Database):
    """A database whose pool outlives the contexts that use it."""

    def close(self) -> None:
        """Leave the connections to the next test."""


@cache
def kept_database(url: str, pool_size: int) -> Database:
    """The database of this process at that address, with a pool of this size."""
    return KeptDatabase(url, pool_size=pool_size)
