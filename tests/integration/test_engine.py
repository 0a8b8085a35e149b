"""The pool: transactions that hold or leave nothing, and faults that are explained."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from orchestrator.db.engine import Database
from orchestrator.db.health import server_version
from orchestrator.errors import DependencyDown

OURS = "select pid from pg_stat_activity where application_name = 'engine test'"


@pytest.fixture
def database(database_url):
    """A pool of two connections."""
    database = Database(database_url, pool_size=2, application="engine test")
    yield database
    database.close()


def pids(database):
    """The servers' processes behind this pool."""
    with database.statement() as connection:
        return set(connection.scalars(text(OURS)))


def test_server_says_its_version(database):
    """Connected, and to a PostgreSQL that we know."""
    with database.statement() as connection:
        assert int(server_version(connection).split(".")[0]) >= 14


def run(context, *statements):
    """Run these inside one transaction, or one after the other."""
    with context as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_transaction_leaves_nothing_when_it_fails(database):
    """All or nothing: what succeeded before the fault is undone."""
    with pytest.raises(IntegrityError):
        run(
            database.transaction(),
            "delete from user_quotas",
            "insert into schema_version values (1)",
        )

    with database.statement() as connection:
        assert 2 == connection.scalar(text("select count(*) from user_quotas"))


def test_statement_stands_for_itself(database):
    """What one statement wrote stays, though the next one fails."""
    with pytest.raises(IntegrityError):
        run(
            database.statement(),
            "delete from user_quotas where user_id = 'admin'",
            "insert into schema_version values (1)",
        )

    with database.statement() as connection:
        assert 1 == connection.scalar(text("select count(*) from user_quotas"))


def test_session_is_bounded_and_in_utc(database):
    """No statement, lock or idle transaction can hold a thread for ever."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
    with database.statement() as connection:
        values = [connection.scalar(text(f"show {name}")) for name in names]

    assert ["15s", "5s", "15s", "UTC"] == values


def test_pool_opens_no_more_connections_than_allowed(database):
    """Two at once are two connections; both are used again."""
    with database.statement(), database.statement():
        pass

    assert 2 == len(pids(database))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:1/x",
        "postgresql://postgres@/x?host=/nowhere",
        "postgresql://postgres@nowhere.invalid/x",
    ],
)
def test_absent_server_is_a_dependency_that_is_down(url):
    """The message is for users: no address, no driver."""
    database = Database(url)

    with pytest.raises(DependencyDown) as caught:
        database.check()

    assert "The database does not answer. Nothing was changed." == str(caught.value)


def test_lost_connection_is_a_dependency_that_is_down(database):
    """A server that goes away in mid-transaction is explained, and the next use opens anew."""
    with pytest.raises(DependencyDown):
        run(database.transaction(), "select pg_terminate_backend(pg_backend_pid())", "select 1")

    database.check()


def test_idle_connections_are_replaced_when_the_server_restarted(database_url):
    """Pooled connections that died while nobody used them cost nobody a request."""
    database = Database(database_url, pool_size=2, application="engine test", trusted=-1.0)
    with database.statement(), database.statement():
        pass
    other = Database(database_url)
    idle = pids(other)
    run(other.statement(), *[f"select pg_terminate_backend({pid}, 1000)" for pid in idle])
    other.close()

    with database.statement(), database.statement():
        pass

    assert 2 == len(idle)
    assert set() == idle & pids(database)
    database.close()


@pytest.mark.parametrize(("trusted", "pings"), [(60.0, 0), (-1.0, 1)])
def test_connection_that_was_just_used_is_not_looked_at(database_url, trusted, pings):
    """A busy process spares every other round trip."""
    database = Database(database_url, trusted=trusted)
    database.check()
    dialect = database._engine.dialect
    asked = []
    ping = dialect.do_ping
    dialect.do_ping = lambda connection: asked.append(connection) or ping(connection)

    database.check()

    database.close()
    assert pings == len(asked)


def test_lock_that_is_not_given_is_a_dependency_that_is_down(database):
    """Waiting too long for a row ends like an absent server: try again."""
    take = "select 1 from user_quotas for update"
    with database.transaction() as holder:
        holder.execute(text(take))

        with pytest.raises(DependencyDown):
            run(database.transaction(), "set local lock_timeout = '20ms'", take)


def test_broken_rule_of_the_schema_is_no_outage(database):
    """A bug of ours must not look like a database that is away."""
    with pytest.raises(IntegrityError):
        run(database.transaction(), "insert into schema_version values (1)")


def test_pool_opens_again_after_it_was_closed(database):
    """Closing lets go of idle connections; it is no end."""
    database.check()
    database.close()

    database.check()
