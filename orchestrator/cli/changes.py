"""`cancel`, `archive` and `delete`: what changes videos that exist. Each takes several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from orchestrator.cli import output
from orchestrator.cli.client import Json, Server, video_path
from orchestrator.cli.errors import Refused
from orchestrator.cli.options import as_json, on_server

_ids = click.argument("video_ids", metavar="ID...", nargs=-1, required=True)


@click.command("cancel")
@_ids
@as_json
@on_server
def cancel_command(server: Server, video_ids: tuple[str, ...], json_: bool) -> None:
    """Stop videos that are not finished.

    Where the provider cannot stop, the video is cancelled here all the same; what it was charged is
    shown.
    """

    def cancel(video_id: str) -> Json:
        return server.post(video_path(video_id, "/cancel"))

    def told(video: Json) -> str:
        return f"{video['id']} {video['status']}, charged {output.money(video['cost_actual'])}"

    _each(video_ids, cancel, told, json_=json_)


@click.command("archive")
@_ids
@click.option("--undo", is_flag=True, help="Bring them back.")
@as_json
@on_server
def archive_command(server: Server, video_ids: tuple[str, ...], undo: bool, json_: bool) -> None:
    """Put videos out of the way, or back.

    Archived videos are kept, and listed only with `list --archived true`.
    """
    action = "/unarchive" if undo else "/archive"

    def archive(video_id: str) -> Json:
        return server.post(video_path(video_id, action))

    def told(video: Json) -> str:
        return f"{video['id']} {'archived' if video['archived_at'] else 'not archived'}"

    _each(video_ids, archive, told, json_=json_)


@click.command("delete")
@_ids
@as_json
@on_server
def delete_command(server: Server, video_ids: tuple[str, ...], json_: bool) -> None:
    """Delete videos.

    What is not finished is cancelled first. Their bytes are removed some days later.
    """

    def delete(video_id: str) -> Json:
        return server.delete(video_path(video_id)) or {"id": video_id, "status": "deleted"}

    _each(video_ids, delete, lambda video: f"{video['id']} {video['status']}", json_=json_)


def _each(
    video_ids: Sequence[str],
    change: Callable[[str], Json],
    told: Callable[[Json], str],
    *,
    json_: bool,
) -> None:
    """One after the other. A refusal does not stop the rest, but decides the exit code."""
    refused: Refused | None = None
    for video_id in video_ids:
        try:
            video = change(video_id)
        except Refused as refusal:
            refused = Refused(refusal.status, refusal.problem)
            if len(video_ids) > 1:
                output.remark(f"{output.plain(video_id)}: {refusal.message}")
            continue
        if json_:
            output.print_json(video, indent=None if len(video_ids) > 1 else 2)
        else:
            click.echo(told(video))
    if refused is not None:
        raise refused if len(video_ids) == 1 else click.exceptions.Exit(refused.exit_code)
