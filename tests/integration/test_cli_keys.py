"""`keys` on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from click.testing import Result

from orchestrator import accounts
from orchestrator.context import Context, build
from orchestrator.errors import Unauthenticated
from orchestrator.settings import load
from tests.cli import run

Keys = Callable[..., Result]


@pytest.fixture
def keys(database_url: str) -> Keys:
    """The command, on the test's database."""
    return lambda *arguments: run("keys", *arguments, env={"DATABASE_URL": database_url})


@pytest.fixture
def ctx(database_url: str) -> Iterator[Context]:
    """What the server has."""
    context = build(load({"DATABASE_URL": database_url}))
    yield context
    context.close()


def test_key_is_alone_on_stdout_when_it_is_made(keys: Keys, ctx: Context) -> None:
    """It can be put into a variable as it is, and it opens the door."""
    made = keys("create", "--user", "alice", "--role", "admin", "--name", "laptop")

    assert 0 == made.exit_code
    (secret,) = made.stdout.splitlines()
    caller = accounts.Authenticator(ctx).caller(secret)
    assert ("alice", "admin") == (caller.user_id, caller.role)
    assert secret not in made.stderr


def test_end_is_set_when_a_key_shall_expire(keys: Keys) -> None:
    """Days from now."""
    keys("create", "--user", "alice", "--expires-days", "2")

    (key,) = json.loads(keys("list", "--json").stdout)["data"]
    left = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert 1.9 < left.total_seconds() / 86_400 <= 2


def test_keys_are_listed_when_there_are_some(keys: Keys) -> None:
    """Newest first, of one user if asked; never the key itself."""
    secret = keys("create", "--user", "alice").stdout.strip()
    keys("create", "--user", "bob")

    everybody = json.loads(keys("list", "--json").stdout)["data"]
    table = keys("list", "--user", "alice").stdout

    assert ["bob", "alice"] == [key["user_id"] for key in everybody]
    assert secret[:10] in table
    assert "bob" not in table
    assert secret not in table


def test_door_is_closed_when_a_key_is_revoked(keys: Keys, ctx: Context) -> None:
    """Found by its beginning; a second time changes nothing."""
    secret = keys("create", "--user", "alice").stdout.strip()

    first = json.loads(keys("revoke", secret[:10], "--json").stdout)
    second = json.loads(keys("revoke", first["id"], "--json").stdout)

    assert first["revoked_at"] == second["revoked_at"]
    assert "revoked" in keys("list").stdout
    with pytest.raises(Unauthenticated):
        accounts.Authenticator(ctx).caller(secret)


def test_nothing_is_listed_when_there_are_no_keys(keys: Keys) -> None:
    """An empty table is a remark."""
    result = keys("list")

    assert (0, "", "No keys.\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (("create",), 2, "--user"),
        (("create", "--user", "a", "--role", "root"), 2, "'user', 'admin'"),
        (("create", "--user", "a", "--expires-days", "0"), 2, "--expires-days"),
        (("create", "--user", "a", "--expires-days", "1e9"), 2, "--expires-days"),
        (("create", "--user", " a"), 1, "1 to 255 printable characters"),
        (("revoke", "key_none"), 1, "There is no such key."),
    ],
)
def test_mistake_is_named_when_the_usage_is_wrong(
    keys: Keys, arguments: tuple[str, ...], exit_code: int, told: str
) -> None:
    """And nothing is written."""
    result = keys(*arguments)

    assert exit_code == result.exit_code
    assert told in result.stderr
    assert [] == json.loads(keys("list", "--json").stdout)["data"]


def test_reason_is_told_when_the_database_is_away() -> None:
    """Exit code 1 and a sentence."""
    result = run(
        *("keys", "create", "--user", "alice"),
        env={"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/none"},
    )

    assert (1, "") == (result.exit_code, result.stdout)
    assert (
        "Error: The database does not answer. Nothing was changed. What is wrong, and which "
        "variable to correct: orchestrator doctor\n"
    ) == result.stderr
