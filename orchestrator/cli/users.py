"""`users`: on the database and the storage, whether or not the server runs."""

from __future__ import annotations

import click

from orchestrator import erasure
from orchestrator.cli import output
from orchestrator.cli.environment import environment
from orchestrator.context import build
from orchestrator.settings import load


@click.group("users")
def users_command() -> None:
    """Erase all data of a user.

    Works on the database (DATABASE_URL) and the storage (STORAGE_URL).
    """


@users_command.command("erase")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(user: str, yes: bool) -> None:
    """Erase all data of a user, for good.

    Keys, prompts, files and histories go. Of each video stays what it was and what it cost, under a
    name that means nobody. What could not be removed is told at the end.
    """
    if not yes:
        click.confirm(f"Erase all data of {output.plain(user)}, for good?", abort=True, err=True)
    ctx = build(load(environment()), application="orchestrator users")
    try:
        found = erasure.erase(ctx, user)
        keys, videos, at_provider = found.keys, found.videos, found.at_provider
        while not found.complete:
            found = erasure.erase(ctx, user)
            keys, videos = keys + found.keys, videos + found.videos
            at_provider += found.at_provider
    finally:
        ctx.close()
    click.echo(f"Erased: {videos} videos, {keys} keys.")
    if at_provider:
        output.remark(
            f"A provider took {at_provider} of them and keeps them as long as it pleases."
        )
