"""`up` and `demo`: everything on this machine, with nothing prepared."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.panel import Panel
from rich.table import Table

from orchestrator.cli import output
from orchestrator.cli.client import Body, Json, Server, video_path
from orchestrator.cli.downloads import save
from orchestrator.cli.environment import environment
from orchestrator.cli.errors import Failed
from orchestrator.cli.watching import ending, follow
from orchestrator.lifecycle import Status
from orchestrator.local.signals import ended_by_signals
from orchestrator.local.stack import Stack

PROMPT = "A paper boat sails down a rainy street, past reflections of neon signs"
CHANGE = "The same street at sunrise, with the boat folded from gold foil"
_SHARED = (
    "DATABASE_URL", "REDIS_URL", "BROKER_URL", "STORAGE_URL", "AUTH", "SECRET_KEY",
    "OPENAI_BASE_URL", "OPENAI_API_KEY", "PROVIDER_PROFILE", "PROVIDERS_FILE", "MODELS",
)  # fmt: skip
_VIDEO = {"model": "sora-2", "seconds": "4", "size": "720x1280"}


def _stack_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What `up` and `demo` may be told."""
    for option in (
        click.option("--no-flower", is_flag=True, help="Leave out Flower, the page about workers."),
        click.option(
            "--workers",
            type=click.IntRange(1, 16),
            default=1,
            show_default=True,
            help="Worker processes; each does 50 things at once.",
        ),
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            default=".orchestrator",
            show_default=True,
            help="Keeps everything between runs.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            help="Of the web server [default: PORT, or 8000; else the next free one].",
        ),
    ):
        function = option(function)
    return function


@click.command("up")
@_stack_options
def up_command(**how: Any) -> None:
    """Run everything on this machine until Ctrl-C.

    Starts PostgreSQL, Valkey and the sandbox provider, unless DATABASE_URL, REDIS_URL or
    OPENAI_BASE_URL name others; then the tables, web, workers, scheduler and Flower. Who is on this
    machine needs no key (AUTH=off). What ends by itself is started again.
    """
    with _running(**how):
        output.remark("Ctrl-C stops everything.")
        _stay()


@click.command("demo")
@_stack_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="out",
    show_default=True,
    help="Where the videos go.",
)
@click.option(
    "--once",
    is_flag=True,
    envvar="ONCE",
    show_envvar=True,
    help="End after the videos, with exit code 0 if they came.",
)
def demo_command(out: Path, once: bool, **how: Any) -> None:
    """Make a first video and a remix of it, with nothing prepared.

    Starts everything as `up` does, asks for both over HTTP, saves them, and stays up until Ctrl-C.
    """
    with _running(**how) as stack:
        with Server(stack.web_url, api_key=environment().get("ORCHESTRATOR_API_KEY")) as server:
            first = _made(
                server, "/api/videos", {"prompt": PROMPT, **_VIDEO}, out / "paper-boat.mp4"
            )
            remix = video_path(first["id"], "/remix")
            _made(server, remix, {"prompt": CHANGE}, out / "paper-boat-remix.mp4")
        if not once:
            output.remark("Everything stays up until Ctrl-C.")
            _stay()


@contextmanager
def _running(*, port: int | None, data: Path, workers: int, no_flower: bool) -> Iterator[Stack]:
    """Everything, until the block ends or somebody stops us: that is how it is meant to end."""
    env = environment() | ({} if port is None else {"PORT": str(port)})
    console = output.remarks()
    with ended_by_signals():
        try:
            with console.status("starting") as status:
                stack = Stack(
                    data,
                    env,
                    workers=workers,
                    flower=not no_flower,
                    notice=console.print,
                    phase=status.update,
                )
                stack.start()
            settings = stack.folder / "environment"
            try:
                _write(settings, stack)
                console.print(_panel(stack, settings))
                yield stack
            finally:
                settings.unlink(missing_ok=True)
                with console.status("stopping"):
                    stack.stop()
        except KeyboardInterrupt:
            output.remark("Stopped; the data are kept.")


def _made(server: Server, path: str, request: Json, place: Path) -> Json:
    """A video from its request to its file."""
    video = server.post(path, Body.of_json(request), key=str(uuid.uuid4()))
    video = follow(server, [video["id"]])[0]
    if video["status"] != Status.COMPLETED:
        raise Failed(ending(video))
    save(server, video, place)
    return video


def _write(settings: Path, stack: Stack) -> None:
    """Leave what other commands need to work on the same services; it holds secrets."""
    made = {name: stack.env[name] for name in _SHARED if stack.env.get(name)}
    made["ORCHESTRATOR_URL"] = stack.web_url
    settings.unlink(missing_ok=True)
    settings.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(made.items())]
    settings.write_text("".join(lines), encoding="utf-8")


def _panel(stack: Stack, settings: Path) -> Panel:
    table = Table.grid(padding=(0, 2))
    rows = {
        "Dashboard": stack.web_url,
        "API docs": f"{stack.web_url}/docs",
        "Flower": stack.flower_url,
        "Sandbox": stack.sandbox_url,
        "Data": str(stack.folder),
        "Logs": str(stack.logs),
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, value)
    if stack.flower_password is not None:
        table.add_row("", f"Flower lets admin in, with the password in {stack.flower_password}")
    program = shutil.which("orchestrator") or str(Path(sys.executable).with_name("orchestrator"))
    table.add_row()
    table.add_row("In another", f". {shlex.quote(_short(settings))}")
    table.add_row("terminal", f'{shlex.quote(_short(program))} submit "A red kite" --watch --out .')
    return Panel(table, title="orchestrator", expand=False)


def _short(path: Path | str) -> str:
    """As one would type it here."""
    text = os.path.relpath(path)
    return str(path) if text.startswith("..") else text


def _stay() -> None:
    """Until a signal ends it; the supervisor does the work."""
    threading.Event().wait()
