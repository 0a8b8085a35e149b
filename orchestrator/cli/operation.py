"""`resolve` and `providers`: decisions that only an operator can make."""

from __future__ import annotations

from urllib.parse import quote

import click
from rich.table import Table

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server, video_path
from orchestrator.cli.options import as_json, on_server


@click.command("resolve")
@click.argument("video_id", metavar="[ID]", required=False)
@click.option(
    "--adopt",
    metavar="PROVIDER_ID",
    help="The provider has it, under this id (behind LiteLLM: the proxy's own).",
)
@click.option("--retry", is_flag=True, help="The provider does not have it: submit it again.")
@click.option("--fail", is_flag=True, help="Give up.")
@as_json
@on_server
def resolve_command(
    server: Server,
    video_id: str | None,
    adopt: str | None,
    retry: bool,
    fail: bool,
    json_: bool,
) -> None:
    """Decide about a held video, or list them all.

    A video is held when nobody knows whether its provider took it, and nothing can tell. Look at
    the provider's own pages first: a retry of one that it has is paid twice.

    An id that you adopt is looked up before it counts. If the provider does not know it, the video
    is held again, as adopt_failed. Behind a LiteLLM proxy it is the proxy's own id, which begins
    with video_ and is some 300 characters long: that of the server behind it is refused.

    \b
    Examples:
      orchestrator resolve
      orchestrator resolve video_0198… --adopt video_68d7512d07848190
      orchestrator resolve video_0198… --retry
    """
    chosen = [name for name, given in (("adopt", adopt), ("retry", retry), ("fail", fail)) if given]
    if video_id is None:
        if chosen:
            raise click.UsageError("Name the ID of the video that you decide about.")
        _list_held(server, json_=json_)
        return
    if len(chosen) != 1:
        raise click.UsageError("Say what to do: one of --adopt PROVIDER_ID, --retry and --fail.")
    decision = {"decision": chosen[0]} | ({"provider_video_id": adopt} if adopt else {})
    path = f"/api/admin/held/{video_path(video_id).rpartition('/')[2]}"
    video = server.post(path, Body.of_json(decision))
    if json_:
        output.print_json(video)
    else:
        held_for = f", {video['hold_reason']}" if video["hold_reason"] else ""
        click.echo(f"{video['id']} {video['status']}{held_for}")


def _list_held(server: Server, *, json_: bool) -> None:
    held = server.get("/api/admin/held")["data"]
    if json_:
        output.print_json(held)
        return
    if not held:
        output.remark("No video is held.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("video", "user", "provider", "sent", "held for", "what happened"):
        table.add_column(heading, no_wrap=heading == "video")
    for video in held:
        attempt = video["attempt"]
        table.add_row(
            video["id"],
            output.plain(video["user_id"]),
            output.plain(attempt["provider"]),
            output.ago(attempt["sent_at"]),
            output.plain(video["hold_reason"]),
            output.shortened(attempt["error"] or "the worker died", 60),
        )
    output.results().print(table)


@click.command("providers")
@click.option("--pause", metavar="NAME", help="Submit nothing more to this provider.")
@click.option("--resume", metavar="NAME", help="Submit to it again.")
@click.option("--reason", default="paused by an operator", help="Why; shown to other operators.")
@as_json
@on_server
def providers_command(
    server: Server, pause: str | None, resume: str | None, reason: str, json_: bool
) -> None:
    """Show the providers, pause or resume one.

    What a paused provider works on is still followed to its end; new videos wait.
    """
    if pause and resume:
        raise click.UsageError("Either --pause or --resume.")
    path = "/api/admin/providers"
    if pause:
        found = server.post(
            f"{path}/{quote(pause, safe='')}/pause", Body.of_json({"reason": reason})
        )
    elif resume:
        found = server.post(f"{path}/{quote(resume, safe='')}/resume")
    else:
        found = server.get(path)
    if json_:
        output.print_json(found["data"])
    else:
        output.results().print(_providers(found["data"]))


def _providers(found: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("provider", "profile", "in flight", "starting", "state"):
        table.add_column(heading)
    for one in found:
        cap = f" of {one['max_in_flight']}" if one["max_in_flight"] else ""
        table.add_row(
            output.plain(one["name"]),
            one["profile"],
            f"{one['in_flight']}{cap}",
            str(one["admitted"]),
            _state(one),
        )
    return table


def _state(one: Json) -> str:
    if not one["paused"]:
        return "open"
    until = (
        "until resumed" if one["paused_until"] is None else output.local_time(one["paused_until"])
    )
    return f"paused {until}: {output.plain(one['pause_reason'])}"
