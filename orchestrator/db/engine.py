"""The pool of connections, and what a fault of PostgreSQL means to the rest of the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection as Connection
from sqlalchemy import Dialect, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from orchestrator.db import prepared
from orchestrator.errors import CommitUnknown, DependencyBusy, DependencyDown

# Every statement of the program is short: what runs longer than this is stuck, and a stuck one
# would hold a worker's thread.
# Plans of prepared statements are made for any parameters. Left to itself PostgreSQL compares them
# with those for some parameters, by the sizes that tables had then, and may never stop planning.
_SESSION = (
    "-c statement_timeout=15000 -c lock_timeout=5000 "
    "-c idle_in_transaction_session_timeout=15000 -c timezone=UTC "
    f"-c plan_cache_mode=force_generic_plan -c {prepared.DIRECT}=on"
)


_RETURNED = "returned"


class Database:
    """A pool that opens with the first use. `url` is a libpq URL (`postgresql://…`), TCP
    or socket. `trusted`: seconds for which a connection that has just been used counts as alive.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        application: str = "orchestrator",
        trusted: float = 1.0,
    ):
        self._engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg2"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_use_lifo=True,
            # Each row of `videos` has a document: five times as fast as the standard library.
            json_deserializer=from_json,
            connect_args={
                "connect_timeout": 5,
                "application_name": application,
                "options": _SESSION,
                "keepalives_idle": 30,
            },
        )
        prepared.install(self._engine)
        event.listen(self._engine, "checkin", _note_return)
        event.listen(self._engine, "checkout", partial(_look, self._engine.dialect, trusted))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Several statements, all or nothing. Never keep one open across a network call.

        Raises:
            DependencyDown: PostgreSQL does not answer.
            DependencyBusy: a lock or a statement took too long.
            CommitUnknown: the connection broke in the commit.
        """
        with _explained(), self._engine.connect() as connection, connection.begin() as changes:
            yield connection
            try:
                changes.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise CommitUnknown from error
                raise

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """Statements that each stand for themselves: spares BEGIN and COMMIT.

        Raises:
            DependencyDown: PostgreSQL does not answer.
        """
        with _explained(), self._engine.connect() as connection, _autocommit(connection):
            yield connection

    def check(self) -> None:
        """One round trip. Raises DependencyDown if it fails."""
        with self.statement() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Close the idle connections; a later use opens new ones."""
        self._engine.dispose()


@contextmanager
def _autocommit(connection: Connection) -> Iterator[None]:
    """SQLAlchemy's isolation level AUTOCOMMIT does the same, and sets the session's own level anew
    when the connection goes back: a round trip for each statement.
    """
    raw: Any = connection.connection.dbapi_connection
    raw.autocommit = True
    try:
        yield
    finally:
        if not raw.closed:
            raw.autocommit = False


def _note_return(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED] = monotonic()


def _look(
    dialect: Dialect,
    trusted: float,
    connection: Any,
    record: ConnectionPoolEntry,
    proxy: PoolProxiedConnection,
) -> None:
    """Replace a connection that has died while nobody used it. One that has just been returned is
    not looked at: that would be every other round trip of a busy process.
    """
    returned = record.info.get(_RETURNED)
    if returned is not None and monotonic() - returned > trusted:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if isinstance(error, PoolTimeout) or error.connection_invalidated or _unreachable(error):
            raise DependencyDown("The database does not answer. Nothing was changed.") from error
        if isinstance(error, OperationalError):
            raise DependencyBusy from error
        raise


def _unreachable(error: DBAPIError) -> bool:
    """What the server itself has said carries a code."""
    return isinstance(error, OperationalError | InterfaceError) and not getattr(
        error.orig, "pgcode", None
    )
