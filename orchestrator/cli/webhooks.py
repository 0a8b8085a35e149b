"""`webhooks`: whom the server tells of what happens to your videos, and with which secrets."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server
from orchestrator.cli.deliveries import deliveries, ping, replay, resend
from orchestrator.cli.options import as_json, on_server
from orchestrator.lifecycle import WEBHOOK_TYPES

PATH = "/api/webhooks/endpoints"
_NONE = "none"

_events = click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(WEBHOOK_TYPES),
    help="What to tell it; may be repeated. By default how videos end.",
)
_overlap = click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 168),
    default=24,
    show_default=True,
    help="For so long the old secret signs, too.",
)


@click.group("webhooks")
def webhooks_command() -> None:
    """Have your own addresses told of what happens.

    \b
    Example:
      SECRET=$(orchestrator webhooks add https://example.com/hook)
      orchestrator webhooks list
      orchestrator webhooks ping we_0198…
    """


@webhooks_command.command("list")
@as_json
@on_server
def list_endpoints(server: Server, json_: bool) -> None:
    """List your endpoints, oldest first."""
    found = server.get(PATH)
    if json_:
        output.print_json(found)
    elif found["data"]:
        output.results().print(_table(found["data"]))
    else:
        output.remark("No webhook endpoints: orchestrator webhooks add URL makes one.")


@webhooks_command.command("add")
@click.argument("address", metavar="URL")
@_events
@click.option("--description", help="What it is for, to tell endpoints apart.")
@as_json
@on_server
def add(
    server: Server, address: str, events: tuple[str, ...], description: str | None, json_: bool
) -> None:
    """Tell URL of what happens, and print the secret that signs it: alone on stdout, this once."""
    wanted: Json = {"url": address} | ({"events": list(events)} if events else {})
    if description is not None:
        wanted["description"] = description
    _show_secret(server.post(PATH, Body.of_json(wanted), once=True), json_=json_)


@webhooks_command.command("show")
@click.argument("endpoint_id", metavar="ID")
@as_json
@on_server
def show(server: Server, endpoint_id: str, json_: bool) -> None:
    """Show an endpoint and how it does."""
    _show(server.get(_path(endpoint_id)), json_=json_)


@webhooks_command.command("update")
@click.argument("endpoint_id", metavar="ID")
@click.option("--to", "address", metavar="URL", help="Another address.")
@_events
@click.option("--description", help="What it is for; none takes it away.")
@as_json
@on_server
def update(
    server: Server,
    endpoint_id: str,
    address: str | None,
    events: tuple[str, ...],
    description: str | None,
    json_: bool,
) -> None:
    """Change an endpoint: its address, what it is told (of these only), or what it is for."""
    changes: Json = {}
    if address is not None:
        changes["url"] = address
    if events:
        changes["events"] = list(events)
    if description is not None:
        changes["description"] = None if description == _NONE else description
    if not changes:
        raise click.UsageError("Say what to change: --to, --event or --description.")
    _change(server, endpoint_id, changes, json_=json_)


@webhooks_command.command("disable")
@click.argument("endpoint_id", metavar="ID")
@as_json
@on_server
def disable(server: Server, endpoint_id: str, json_: bool) -> None:
    """Tell an endpoint nothing more; what waits for it is given up."""
    _change(server, endpoint_id, {"disabled": True}, json_=json_)


@webhooks_command.command("enable")
@click.argument("endpoint_id", metavar="ID")
@as_json
@on_server
def enable(server: Server, endpoint_id: str, json_: bool) -> None:
    """Tell an endpoint again what happens from now on; `replay` tells it what it has missed."""
    _change(server, endpoint_id, {"disabled": False}, json_=json_)


@webhooks_command.command("remove")
@click.argument("endpoint_ids", metavar="ID...", nargs=-1, required=True)
@as_json
@on_server
def remove(server: Server, endpoint_ids: tuple[str, ...], json_: bool) -> None:
    """Remove endpoints, what waits for them and their log."""
    for endpoint_id in endpoint_ids:
        removed = server.delete(_path(endpoint_id))
        if json_:
            output.print_json(removed, indent=None)
        else:
            click.echo(f"{removed['id']} is removed.")


@webhooks_command.command("rotate")
@click.argument("endpoint_id", metavar="ID")
@_overlap
@as_json
@on_server
def rotate(server: Server, endpoint_id: str, overlap_hours: float, json_: bool) -> None:
    """Give an endpoint a new secret and print it: alone on stdout, this once."""
    body = Body.of_json({"overlap_hours": overlap_hours})
    _show_secret(server.post(f"{_path(endpoint_id)}/rotate", body, once=True), json_=json_)


@webhooks_command.command("secret")
@click.option("--rotate", "new", is_flag=True, help="Make a new one.")
@_overlap
@as_json
@on_server
def secret(server: Server, new: bool, overlap_hours: float, json_: bool) -> None:
    """Print the secret that signs what goes to the webhook_url of single videos."""
    path = "/api/webhooks/secret"
    if new:
        body = Body.of_json({"overlap_hours": overlap_hours})
        found = server.post(f"{path}/rotate", body, once=True)
    else:
        found = server.get(path)
    if json_:
        output.print_json(found)
    else:
        click.echo(found["secret"])


for _command in (ping, deliveries, resend, replay):
    webhooks_command.add_command(_command)


def _path(endpoint_id: str) -> str:
    return f"{PATH}/{quote(endpoint_id, safe='')}"


def _change(server: Server, endpoint_id: str, changes: Json, *, json_: bool) -> None:
    _show(server.patch(_path(endpoint_id), Body.of_json(changes)), json_=json_)


def _show_secret(endpoint: Json, *, json_: bool) -> None:
    if json_:
        output.print_json(endpoint)
        return
    output.remark(f"{endpoint['id']} for {output.plain(endpoint['url'])}; it is shown only now.")
    click.echo(endpoint["secret"])


def _show(endpoint: Json, *, json_: bool) -> None:
    if json_:
        output.print_json(endpoint)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    rows: dict[str, Any] = {
        "id": endpoint["id"],
        "user": endpoint["user_id"],
        "url": endpoint["url"],
        "events": ", ".join(endpoint["events"]),
        "description": endpoint["description"],
        "state": _state(endpoint),
        "created": output.local_time(endpoint["created_at"]),
        "old secret until": _until(endpoint["previous_secret_until"]),
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, output.plain(value))
    output.results().print(table)


def _until(moment: str | None) -> str | None:
    return None if moment is None else output.local_time(moment)


def _table(endpoints: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("ID", "URL", "EVENTS", "FOR", "STATE"):
        table.add_column(name, no_wrap=name == "ID")
    for one in endpoints:
        table.add_row(
            one["id"],
            output.plain(one["url"]),
            ", ".join(event.removeprefix("video.") for event in one["events"]),
            output.plain(one["description"] or "-"),
            _state(one),
        )
    return table


def _state(endpoint: Json) -> str:
    if endpoint["disabled_at"] is not None:
        return f"disabled: {output.plain(endpoint['disabled_reason'])}"
    if endpoint["failing_since"] is not None:
        return f"failing for {output.ago(endpoint['failing_since']).removesuffix(' ago')}"
    return "well"
