"""The part of `webhooks` that is about single messages: what was told, and telling it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server
from orchestrator.cli.errors import Failed
from orchestrator.cli.options import as_json, on_server
from orchestrator.cli.times import moment
from orchestrator.lifecycle import WEBHOOK_TYPES

PATH = "/api/webhooks/deliveries"
_MAX_PAGE = 1000
_PING_SECONDS = 30.0
_PAUSE = 0.5
_STYLES = {"delivered": "green", "pending": "yellow", "failed": "red"}


@click.command("ping")
@click.argument("endpoint_id", metavar="ID")
@as_json
@on_server
def ping(server: Server, endpoint_id: str, json_: bool) -> None:
    """Send an endpoint a test message, and say how it answered.

    Exit code 1 if it did not take the message.
    """
    delivery = server.post(f"/api/webhooks/endpoints/{quote(endpoint_id, safe='')}/ping")
    until = server.clock.monotonic() + _PING_SECONDS
    while not delivery["attempts"] and server.clock.monotonic() < until:
        server.clock.sleep(_PAUSE)
        delivery = server.get(f"{PATH}/{delivery['id']}")
    if json_:
        output.print_json(delivery)
    elif delivery["state"] == "delivered":
        click.echo(f"{delivery['webhook_id']} was answered {delivery['status_code']}.")
    if delivery["state"] != "delivered":
        raise Failed(output.plain(delivery["error"] or "It was not sent yet: does a worker run?"))


@click.command("deliveries")
@click.option("--endpoint", "endpoint_id", metavar="ID", help="Only to this endpoint.")
@click.option("--video", "video_id", metavar="ID", help="Only about this video.")
@click.option("--state", type=click.Choice(tuple(_STYLES)), help="Only these.")
@click.option(
    "--type", "type_", type=click.Choice([*WEBHOOK_TYPES, "endpoint.ping"]), help="Only of it."
)
@click.option(
    "--limit", type=click.IntRange(1, None), default=20, show_default=True, help="At most so many."
)
@as_json
@on_server
def deliveries(server: Server, type_: str | None, limit: int, json_: bool, **filters: Any) -> None:
    """List messages that were sent or wait, newest first; kept for 30 days."""
    found: list[Json] = []
    before: str | None = None
    while len(found) < limit:
        wanted = min(limit - len(found), _MAX_PAGE)
        page = server.get(PATH, limit=wanted, before=before, type=type_, **filters)
        found += page["data"]
        before = page["next_cursor"]
        if before is None:
            break
    if json_:
        output.print_json({"data": found, "has_more": before is not None})
        return
    if found:
        output.results().print(_table(found))
    else:
        output.remark("No deliveries.")
    if before is not None:
        output.remark(f"There are more: --limit above {limit}.")


@click.command("resend")
@click.argument("numbers", metavar="DELIVERY...", type=int, nargs=-1, required=True)
@as_json
@on_server
def resend(server: Server, numbers: tuple[int, ...], json_: bool) -> None:
    """Send messages again, by their numbers in `deliveries`, with their old webhook-id."""
    for number in numbers:
        delivery = server.post(f"{PATH}/{number}/resend")
        if json_:
            output.print_json(delivery, indent=None)
        else:
            click.echo(f"{delivery['id']} {delivery['webhook_id']} {delivery['state']}")


@click.command("replay")
@click.argument("endpoint_id", metavar="ID")
@click.option("--since", type=moment, required=True, metavar="TIME", help="From this time on.")
@click.option("--until", type=moment, metavar="TIME", help="Before this time; now, without it.")
@as_json
@on_server
def replay(
    server: Server, endpoint_id: str, since: datetime, until: datetime | None, json_: bool
) -> None:
    """Tell an endpoint again of all that happened in that time.

    \b
    Example:
      orchestrator webhooks replay we_0198… --since -2d
    """
    until = until or datetime.now(UTC)
    body = Body.of_json({"since": since.isoformat(), "until": until.isoformat()})
    path = f"/api/webhooks/endpoints/{quote(endpoint_id, safe='')}/replay"
    found = server.post(path, body)
    if json_:
        output.print_json(found)
    else:
        click.echo(f"{found['queued']} messages wait to be sent.")


def _table(found: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("DELIVERY", "TYPE", "OF", "TO", "STATE", "TRIES", "LAST", "ANSWER"):
        table.add_column(name, no_wrap=name in {"DELIVERY", "OF"})
    for one in found:
        table.add_row(
            str(one["id"]),
            one["type"],
            one["video_id"] or "-",
            output.plain(one["endpoint_id"] or one["url"]),
            Text(one["state"], style=_STYLES.get(one["state"], "")),
            str(one["attempts"]),
            output.ago(one["last_attempt_at"]),
            output.shortened(one["error"] or one["status_code"] or "-", 60),
        )
    return table
