"""Statements that a connection plans once, and not each time: to read and to plan one of ours takes
PostgreSQL twice as long as to run it for a single video.

psycopg2 knows nothing of this, so PREPARE and EXECUTE are sent as statements. They belong to a
session, which a pooler that gives each transaction another one does not keep; see `_begin`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import Engine, Executable, event
from sqlalchemy.pool import ConnectionPoolEntry

Statement = TypeVar("Statement", bound=Executable)

DIRECT = "orchestrator.direct"
"""A setting of ours that a session has from its first message on. A pooler drops that message."""
PLAN_SECONDS = 5.0
"""A plan suits tables of the size that they had when it was made: one for an empty table reads all
of it, for each row, until ANALYZE looks in a minute later. So plans are made anew this often. Those
of a life take 7 ms, on each connection.
"""
_OPTION = "prepared"
_FIRST = "first"
_KNOWN = "prepared"
_MARK = re.compile(r"%\((\w+)\)s|%%")
_TEXTS = 512


def often(statement: Statement, *, first: str = "") -> Statement:
    """The same statement, to be planned once by each connection. The type of each of its parameters
    must be plain from the text. `first`: a statement that goes before it, in the same round trip.
    """
    return statement.execution_options(**{_OPTION: True, _FIRST: first and f"{first}; "})


@dataclass(slots=True)
class _Session:
    """What a connection has prepared: how each statement is executed, and since when its plans may
    be as old as they are.
    """

    known: dict[str, str] = field(default_factory=dict)
    planned: float = 0.0


def install(engine: Engine, *, clock: Callable[[], float] = monotonic) -> None:
    """Let this engine prepare what is asked for often."""
    event.listen(engine, "connect", _begin)
    event.listen(engine, "do_execute", partial(_execute, clock))


def _begin(connection: Any, record: ConnectionPoolEntry) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select current_setting(%s, true)", (DIRECT,))
        (direct,) = cursor.fetchone()
    connection.rollback()
    record.info[_KNOWN] = _Session() if direct else None


def _execute(
    clock: Callable[[], float], cursor: Any, statement: str, parameters: Any, context: Any
) -> bool:
    """Whether the statement has been executed here; else it is sent as it is."""
    if not context.execution_options.get(_OPTION):
        return False
    session: _Session | None = context.root_connection.info[_KNOWN]
    first = context.execution_options[_FIRST]
    if session is None:
        cursor.execute(first + statement, parameters)
        return True
    execute = session.known.get(statement)
    if execute is None:
        numbered, arguments = _numbered(statement)
        name = f"often_{len(session.known)}"
        cursor.execute(f"prepare {name} as {numbered}")
        execute = session.known[statement] = f"execute {name}{arguments}"
    if (now := clock()) - session.planned > PLAN_SECONDS:
        session.planned = now
        first = f"discard plans; {first}"
    cursor.execute(first + execute, parameters)
    return True


@lru_cache(_TEXTS)
def _numbered(statement: str) -> tuple[str, str]:
    """A statement with its parameters as PostgreSQL numbers them, and the list of them, as psycopg2
    fills it in.
    """
    names: list[str] = []

    def number(mark: re.Match[str]) -> str:
        name = mark[1]
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    text = _MARK.sub(number, statement)
    return text, f"({', '.join(f'%({name})s' for name in names)})" if names else ""
