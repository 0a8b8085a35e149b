"""`web`, `scheduler` and `migrate`: what a Procfile names."""

from __future__ import annotations

import os
import sys

import click

from orchestrator.cli import output
from orchestrator.cli.environment import environment
from orchestrator.cli.errors import Failed
from orchestrator.db import schema
from orchestrator.db.engine import Database
from orchestrator.errors import DependencyDown
from orchestrator.settings import load


@click.command("web")
def web_command() -> None:
    """Run the HTTP server.

    Listens on HOST and PORT (127.0.0.1:8000); settings come from the environment.
    """
    _become("api")


@click.command("scheduler")
def scheduler_command() -> None:
    """Run the scheduler.

    It admits, rings and rescues work every second. One is enough; several do no harm.
    """
    _become("workers.scheduler")


@click.command("migrate")
def migrate_command() -> None:
    """Create or update the tables.

    Applies schema.sql to the database of DATABASE_URL and prints the tables. May be run again, also
    by several at once; what is there already stays.
    """
    settings = load(environment())
    database = Database(settings.database_url, pool_size=1, application="orchestrator migrate")
    try:
        tables = schema.migrate(database)
    except DependencyDown as error:
        reason = " ".join(str(error.__cause__).split())
        raise Failed(f"PostgreSQL (DATABASE_URL) does not answer: {reason}") from error
    finally:
        database.close()
    for table in tables:
        click.echo(table)
    output.remark(f"The schema is at version {schema.VERSION}.")


def _become(module: str) -> None:
    """Replace this process: signals and the exit code are then that program's own."""
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606 - no shell is wanted
