"""`keys`: API keys, made on the database, because the first one cannot be made over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.table import Table

from orchestrator import accounts
from orchestrator.cli import output
from orchestrator.cli.environment import environment
from orchestrator.cli.options import as_json
from orchestrator.context import Context, build
from orchestrator.records import ApiKey
from orchestrator.settings import load
from orchestrator.views import rfc3339


@click.group("keys")
def keys_command() -> None:
    """Make, list and revoke API keys.

    Works on the database (DATABASE_URL), whether or not the server runs.
    """


@keys_command.command("create")
@click.option("--user", required=True, help="Whose videos, quota and costs; any text.")
@click.option(
    "--role",
    type=click.Choice(accounts.ROLES),
    default="user",
    show_default=True,
    help="An admin may see and change what belongs to others.",
)
@click.option("--name", help="What it is for, to tell keys apart.")
@click.option(
    "--expires-days",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DAYS",
    help="Worthless after that; by default it stays valid.",
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(accounts.SCOPES["admin"]),
    multiple=True,
    help="What it is for; may be repeated. By default all that the role may.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(1, accounts.MAX_RATE),
    metavar="N",
    help="Requests a minute; by default RATE_LIMIT_RPM.",
)
def create(
    user: str,
    role: str,
    name: str | None,
    expires_days: float | None,
    scopes: tuple[str, ...],
    rate_limit: int | None,
) -> None:
    """Make a key and print it: alone on stdout, this once.

    \b
    Example:
      export ORCHESTRATOR_API_KEY=$(orchestrator keys create --user alice)
    """
    try:
        expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(expires_days)
    except OverflowError:
        raise click.BadParameter("is too far ahead.", param_hint="--expires-days") from None
    with _context() as ctx:
        made = accounts.create_key(
            ctx,
            user,
            role=role,
            name=name,
            expires_at=expires_at,
            scopes=scopes or None,
            rate_limit=rate_limit,
        )
    output.remark(f"{made.key.id} for {user} ({role}); it is shown only now.")
    click.echo(made.secret)


@keys_command.command("list")
@click.option("--user", help="Only this user's.")
@as_json
def list_keys(user: str | None, json_: bool) -> None:
    """List keys, newest first. Of each, only the beginning is known."""
    with _context() as ctx:
        found = accounts.list_keys(ctx, user)
    if json_:
        output.print_json({"data": [_document(key) for key in found]})
    elif found:
        output.results().print(_table(found))
    else:
        output.remark("No keys.")


@keys_command.command("revoke")
@click.argument("key")
@as_json
def revoke(key: str, json_: bool) -> None:
    """Make a key worthless, within a second everywhere.

    KEY is its id, or its beginning as `keys list` shows it.
    """
    with _context() as ctx:
        revoked = accounts.revoke_key(ctx, key)
    if json_:
        output.print_json(_document(revoked))
    else:
        click.echo(f"{revoked.id} of {output.plain(revoked.user_id)} is revoked.")


@contextmanager
def _context() -> Iterator[Context]:
    ctx = build(load(environment()), application="orchestrator keys")
    try:
        yield ctx
    finally:
        ctx.close()


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in asdict(key).items()
    }


def _table(keys: list[ApiKey]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("ID", "BEGINS", "USER", "ROLE", "NAME", "CREATED", "LAST USED", "STATE"):
        table.add_column(name, no_wrap=True)
    now = datetime.now(UTC)
    for key in keys:
        table.add_row(
            key.id,
            key.prefix,
            output.plain(key.user_id),
            key.role,
            output.plain(key.name or "-"),
            output.ago(rfc3339(key.created_at)),
            output.ago(rfc3339(key.last_used_at)),
            _state(key, now),
        )
    return table


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None:
        return "expired" if key.expires_at <= now else f"until {key.expires_at:%Y-%m-%d}"
    return "valid"
