"""Whether this process can serve, and what it lacks."""

from __future__ import annotations

from orchestrator.context import Context
from orchestrator.db import schema
from orchestrator.errors import OrchestratorError

OK = "ok"
_NEEDED = ("database", "schema")


def checks(ctx: Context) -> dict[str, str]:
    """`database`, `schema` and `redis`, each `ok` or what is wrong with it."""
    return {**_database(ctx), "redis": OK if ctx.cache.ping() else "unavailable"}


def sufficient(found: dict[str, str]) -> bool:
    """Whether requests can be served: Redis makes that faster, PostgreSQL makes it possible."""
    return all(found[name] == OK for name in _NEEDED)


def _database(ctx: Context) -> dict[str, str]:
    try:
        version = schema.version(ctx.database)
    except OrchestratorError:
        return {"database": "unavailable", "schema": "unknown"}
    # Old code runs on a newer schema; new code on an older one does not.
    current = version is not None and version >= schema.VERSION
    return {"database": OK, "schema": OK if current else "outdated: run orchestrator migrate"}
