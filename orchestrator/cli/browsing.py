"""`list` and `show`: what there is, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import click
from rich.table import Table
from rich.text import Text

from orchestrator.cli import output
from orchestrator.cli.client import Json, Server, video_path
from orchestrator.cli.options import as_json, on_server
from orchestrator.cli.times import moment
from orchestrator.lifecycle import Status

_MAX_PAGE = 100
_WIDE = 120
_GAP = 2
_LEAST = 8
_DETAILS = (
    "kind", "model", "seconds", "size", "quality", "priority", "prompt", "user_id", "retry_of",
    "remixed_from_video_id", "hold_reason", "error_code", "error_message", "content_type",
    "content_sha256", "webhook_url",
)  # fmt: skip
_TIMES = ("created_at", "run_at", "deadline_at", "finished_at", "archived_at", "expires_at")


@click.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in Status]),
    help="Only these; may be repeated. Deleted ones are listed only when asked for.",
)
@click.option("--model", help="Only videos of this model.")
@click.option("--text", "q", metavar="WORDS", help="Only those whose prompt contains this.")
@click.option(
    "--after",
    "created_after",
    type=moment,
    metavar="TIME",
    help="Only those created after this time.",
)
@click.option(
    "--before", "created_before", type=moment, metavar="TIME", help="Only those created before it."
)
@click.option(
    "--archived",
    type=click.Choice(["true", "false", "any"]),
    default="false",
    show_default=True,
    help="Whether to list archived ones.",
)
@click.option(
    "--limit", type=click.IntRange(1, None), default=20, show_default=True, help="At most so many."
)
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@as_json
@on_server
def list_command(
    server: Server,
    statuses: tuple[str, ...],
    created_after: datetime | None,
    created_before: datetime | None,
    limit: int,
    everything: bool,
    json_: bool,
    **filters: Any,
) -> None:
    """List your videos, newest first.

    \b
    Examples:
      orchestrator list --status queued --status in_progress
      orchestrator list --text kite --after 2026-11-01
      orchestrator list --all --json | jq -r '.data[].id'
    """
    filters |= {
        "status": statuses,
        "created_after": None if created_after is None else created_after.isoformat(),
        "created_before": None if created_before is None else created_before.isoformat(),
    }
    wanted = None if everything else limit
    videos, more = _collect(server, wanted, filters)
    if json_:
        output.print_json({"data": videos, "has_more": more})
        return
    if videos:
        console = output.results()
        console.print(_table(videos, console.width))
    else:
        output.remark("No videos.")
    if more:
        output.remark(f"There are more: --all, or --limit above {limit}.")


def _collect(server: Server, wanted: int | None, filters: Json) -> tuple[list[Json], bool]:
    """Up to `wanted` videos (None: all), and whether there are more."""
    videos: list[Json] = []
    for page in _pages(server, wanted, filters):
        videos += page["data"]
        if wanted is not None and len(videos) >= wanted:
            more = len(videos) > wanted or page["next_cursor"] is not None
            return videos[:wanted], more
    return videos, False


def _pages(server: Server, wanted: int | None, filters: Json) -> Iterator[Json]:
    limit = _MAX_PAGE if wanted is None else min(wanted, _MAX_PAGE)
    cursor = None
    while True:
        page = server.get("/api/videos", limit=limit, cursor=cursor, **filters)
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _table(videos: list[Json], width: int) -> Table:
    """A line for each. Ids are for copying, so they are shown whole and other columns give way."""
    columns: dict[str, list[str]] = {
        "ID": [video["id"] for video in videos],
        "STATUS": [video["status"] for video in videos],
        "%": [str(video["progress"]) for video in videos],
        "CREATED": [output.ago(video["created_at"]) for video in videos],
    }
    if width >= _WIDE:
        columns |= {
            "MODEL": [output.plain(video["model"]) for video in videos],
            "LENGTH": [f"{video['seconds']} s" for video in videos],
            "SIZE": [video["size"] for video in videos],
            "COST": [output.money(_cost(video)) for video in videos],
        }
    table = Table(box=None, pad_edge=False)
    left = width
    for name, cells in columns.items():
        justify: Literal["left", "right"] = "right" if name in {"%", "COST"} else "left"
        table.add_column(name, no_wrap=True, justify=justify)
        left -= max(map(len, [name, *cells])) + _GAP
    table.add_column("PROMPT", no_wrap=True)
    for row, video in zip(zip(*columns.values(), strict=True), videos, strict=True):
        ident, status, *others = row
        prompt = Text(output.shortened(video["prompt"], max(left, _LEAST)))
        table.add_row(ident, output.status_text(status), *others, prompt)
    return table


def _cost(video: Json) -> float | None:
    """What it was charged, or before its end, what it is going to be."""
    cost: float | None = video["cost_actual" if video["finished_at"] else "cost_estimated"]
    return cost


@click.command("show")
@click.argument("video_id", metavar="ID")
@as_json
@on_server
def show_command(server: Server, video_id: str, json_: bool) -> None:
    """Show a video and what happened to it.

    With --json, the events are the member `events` of the video.
    """
    video = server.get(video_path(video_id))
    events = server.get(video_path(video_id, "/events"))["data"]
    if json_:
        output.print_json({**video, "events": events})
        return
    console = output.results()
    console.print(_details(video))
    console.print()
    console.print(_timeline(events))


def _details(video: Json) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("id", video["id"])
    status = output.status_text(video["status"])
    table.add_row("status", status + Text(f", {video['progress']} %"))
    for name in _DETAILS:
        if video[name] is not None:
            table.add_row(name, Text(output.plain(video[name])))
    table.add_row("cost", f"{output.money(_cost(video))} ({video['quota_state']})")
    if video["content_bytes"] is not None:
        table.add_row("content", f"{output.size(video['content_bytes'])} at {video['file_url']}")
    for name in _TIMES:
        if video[name] is not None:
            table.add_row(name, output.local_time(video[name]))
    for key, value in video["metadata"].items():
        table.add_row("metadata", Text(output.plain(f"{key} = {value}")))
    return table


def _timeline(events: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("#", "TIME", "EVENT"):
        table.add_column(name, no_wrap=True)
    table.add_column("DETAILS", overflow="fold")
    for event in events:
        table.add_row(
            "" if event["seq"] is None else str(event["seq"]),
            output.local_time(event["created_at"]),
            event["event_type"],
            Text(_data(event["event_data"])),
        )
    return table


def _data(data: Json) -> str:
    return "  ".join(
        f"{name}={output.shortened(value, 100)}"
        for name, value in data.items()
        if value is not None
    )
