"""`migrate` on a real database."""

from __future__ import annotations

from orchestrator.db.schema import VERSION
from orchestrator.db.tables import metadata
from tests.cli import run


def test_tables_are_printed_when_the_database_is_new(bare_database_url: str) -> None:
    """Each table on a line of its own."""
    result = run("migrate", env={"DATABASE_URL": bare_database_url})

    assert (0, sorted(metadata.tables)) == (result.exit_code, result.stdout.splitlines())
    assert f"The schema is at version {VERSION}.\n" == result.stderr


def test_nothing_changes_when_it_is_run_again(database_url: str) -> None:
    """A release may migrate as often as it likes."""
    first = run("migrate", env={"DATABASE_URL": database_url})
    second = run("migrate", env={"DATABASE_URL": database_url})

    assert 0 == second.exit_code
    assert first.stdout == second.stdout


def test_reason_is_told_when_the_database_is_away() -> None:
    """Exit code 1, the variable to look at, and what PostgreSQL's client says."""
    result = run("migrate", env={"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/none"})

    assert (1, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Error: PostgreSQL (DATABASE_URL) does not answer: ")
    assert "refused" in result.stderr
    assert 1 == len(result.stderr.splitlines())
