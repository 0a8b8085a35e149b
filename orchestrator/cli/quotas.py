"""`quota`: what a user may have this month, and has had."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server
from orchestrator.cli.options import as_json, on_server

_NONE = "none"


def _or_none(kind: type[int] | type[float]) -> Any:
    """A type for click: a number, or `none`, which becomes an empty text: None means not given."""

    def number(text: str) -> int | float | str:
        if text.lower() == _NONE:
            return ""
        try:
            return kind(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is neither a number nor {_NONE!r}.") from None

    return number


@click.command("quota")
@click.argument("user", metavar="[USER]", required=False)
@click.option("--limit", "videos_limit", type=int, metavar="N", help="Videos a month.")
@click.option(
    "--cost-limit", type=_or_none(float), metavar="DOLLARS", help="US dollars a month, or none."
)
@click.option(
    "--max-in-flight", type=_or_none(int), metavar="N", help="Videos at once, or none for no limit."
)
@click.option("--weight", type=float, help="Share of scarce capacity; everybody starts with 1.")
@click.option("--reset", is_flag=True, help="Start the month anew, now.")
@as_json
@on_server
def quota_command(
    server: Server, user: str | None, reset: bool, json_: bool, **limits: Any
) -> None:
    """Show a quota, or change it as an admin.

    Without USER it is your own. Changes and other users' quotas need an admin's key.

    \b
    Examples:
      orchestrator quota
      orchestrator quota alice --limit 500 --cost-limit 200
      orchestrator quota alice --max-in-flight none --reset
    """
    changes = {
        name: (None if value == "" else value)
        for name, value in limits.items()
        if value is not None
    }
    if user is None:
        if changes or reset:
            raise click.UsageError("Name the USER whose quota is to be changed.")
        quota = server.get("/api/quota")
    else:
        quota = _of(server, f"/api/users/{quote(user, safe='')}/quota", changes, reset=reset)
    if json_:
        output.print_json(quota)
    else:
        output.results().print(_table(quota))


def _of(server: Server, path: str, changes: Json, *, reset: bool) -> Json:
    """The quota of a user, after the changes that were asked for."""
    if changes:
        quota = server.put(path, Body.of_json(changes))
    if reset:
        quota = server.post(f"{path}/reset")
    return quota if changes or reset else server.get(path)


def _table(quota: Json) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("user", output.plain(quota["user_id"]))
    table.add_row("videos", f"{quota['used']} of {quota['limit']}, {quota['remaining']} left")
    spent = output.money(quota["cost_used"])
    limit = quota["cost_limit"]
    table.add_row("spend", spent if limit is None else f"{spent} of {output.money(limit)}")
    table.add_row("resets", output.local_time(quota["reset_at"]))
    table.add_row("at once", str(quota["max_in_flight"] or "no limit"))
    table.add_row("weight", f"{quota['weight']:g}")
    return table
