"""`submit`, `remix` and `retry`: what asks for a new video, and may follow it to its file."""

from __future__ import annotations

import json
import mimetypes
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server, video_path
from orchestrator.cli.downloads import OUT, save
from orchestrator.cli.errors import Failed
from orchestrator.cli.options import as_json, on_server
from orchestrator.cli.times import moment
from orchestrator.cli.watching import ending, follow
from orchestrator.lifecycle import Status


def _following(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every creating command has."""
    for option in (
        as_json,
        click.option(
            "--idempotency-key",
            "key",
            help="Asking again with the same key makes no second video. By default a new one.",
        ),
        click.option("--out", type=OUT, help="Wait, and save it there (a file or a folder)."),
        click.option("--watch", is_flag=True, help="Wait until it has ended."),
    ):
        function = option(function)
    return function


@click.command("submit")
@click.argument("prompt")
@click.option("--model", help="For example sora-2 or sora-2-pro.")
@click.option("--seconds", help="The length, for example 4.")
@click.option("--size", metavar="WxH", help="For example 720x1280.")
@click.option("--quality", help="Where the provider knows qualities.")
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A picture to start from (JPEG, PNG or WebP).",
)
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="Kept with the video; may be repeated."
)
@click.option(
    "--priority", type=click.IntRange(-100, 100), help="Among your own videos: above 0 is sooner."
)
@click.option("--run-at", type=moment, metavar="TIME", help="Not before: 2026-11-22T18:30, or +2h.")
@_following
@on_server
def submit_command(
    server: Server,
    prompt: str,
    image: Path | None,
    metadata: tuple[str, ...],
    run_at: datetime | None,
    key: str | None,
    watch: bool,
    out: Path | None,
    json_: bool,
    **fields: Any,
) -> None:
    """Ask for a video.

    PROMPT says what is to be seen; `-` reads it from the standard input. Prints the video's id;
    with --watch or --out it waits, and the exit code says whether the video came.

    \b
    Examples:
      orchestrator submit "A red kite over the sea" --seconds 8 --watch
      orchestrator submit "The same, in winter" --image kite.png --out kite.mp4
      orchestrator submit - --run-at +8h --metadata project=kites < prompt.txt
    """
    request = {name: value for name, value in fields.items() if value is not None}
    request["prompt"] = sys.stdin.read().strip() if prompt == "-" else prompt
    if metadata:
        request["metadata"] = dict(_pair(text) for text in metadata)
    if run_at is not None:
        request["run_at"] = run_at.isoformat()
    body = Body.of_json(request) if image is None else _form(request, image)
    _ask(server, "/api/videos", body, key=key, watch=watch, out=out, json_=json_)


@click.command("remix")
@click.argument("video_id", metavar="ID")
@click.argument("prompt")
@_following
@on_server
def remix_command(server: Server, video_id: str, prompt: str, **how: Any) -> None:
    """Ask for a variation of a finished video.

    PROMPT says what is to be different. Prints the new video's id.

    \b
    Example:
      orchestrator remix video_0193… "The same at night" --out night.mp4
    """
    _ask(server, video_path(video_id, "/remix"), Body.of_json({"prompt": prompt}), **how)


@click.command("retry")
@click.argument("video_id", metavar="ID")
@_following
@on_server
def retry_command(server: Server, video_id: str, **how: Any) -> None:
    """Ask again for a video that failed or was cancelled.

    Makes a new video with the same wishes and prints its id; it counts and costs like any other.
    """
    _ask(server, video_path(video_id, "/retry"), None, **how)


def _ask(
    server: Server,
    path: str,
    body: Body | None,
    *,
    key: str | None,
    watch: bool,
    out: Path | None,
    json_: bool,
) -> None:
    """Create, say the id (before the wait, which may be long), and if asked wait and save."""
    video = server.post(path, body, key=key or str(uuid.uuid4()))
    waits = watch or out is not None
    if not json_:
        click.echo(video["id"])
        if not waits:
            output.remark(f"Follow it with: orchestrator watch {video['id']}")
    if waits:
        video = follow(server, [video["id"]])[0]
    if json_:
        output.print_json(video)
    if waits and video["status"] != Status.COMPLETED:
        raise Failed(ending(video))
    if out is not None:
        save(server, video, out)


def _pair(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--metadata")
    return key, value


def _form(request: Json, image: Path) -> Body:
    """The request as multipart/form-data, with the picture as `input_reference`."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in request.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts.append((f'name="{name}"', "text/plain; charset=utf-8", text.encode()))
    # The server looks at the bytes, not at the names; a fixed one needs no escaping.
    kind = mimetypes.guess_type(image.name)[0] or "application/octet-stream"
    disposition = 'name="input_reference"; filename="image"'
    parts.append((disposition, kind, image.read_bytes()))
    data = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for disposition, kind, content in parts
    )
    return Body(f"multipart/form-data; boundary={boundary}", data + f"--{boundary}--\r\n".encode())
