"""Progress that people watch: bars on a terminal, a line for each change elsewhere. On stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from orchestrator.cli import output
from orchestrator.cli.client import Json
from orchestrator.lifecycle import TERMINAL

_PROMPT_WIDTH = 36


class Screen(Protocol):
    """Where the state of videos is shown."""

    def show(self, video: Json) -> None:
        """Show a video as it is now."""
        ...

    def note(self, text: str) -> None:
        """Say something beside it."""
        ...


@contextmanager
def open_screen() -> Iterator[Screen]:
    """Bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[status]}", style="bold"),
        TimeElapsedColumn(),
        console=output.remarks(),
    )
    with progress:
        yield _Bars(progress)


class _Bars:
    """A bar for each video."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, video: Json) -> None:
        """Move its bar."""
        ident = video["id"]
        if ident not in self._tasks:
            label = output.shortened(video["prompt"], _PROMPT_WIDTH)
            self._tasks[ident] = self._progress.add_task(label, total=100, status="")
        task = self._tasks[ident]
        status = output.status_text(video["status"])
        self._progress.update(task, completed=video["progress"], status=status.markup)
        if video["status"] in TERMINAL:
            self._progress.stop_task(task)

    def note(self, text: str) -> None:
        """Above the bars."""
        self._progress.console.print(text)


class _Lines:
    """A line for each change of status: for logs."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def show(self, video: Json) -> None:
        """Say it once."""
        if self._told.get(video["id"]) != video["status"]:
            self._told[video["id"]] = video["status"]
            output.remark(f"{video['id']} {video['status']}")

    def note(self, text: str) -> None:
        """A line."""
        output.remark(text)


@contextmanager
def transfer(label: str, total: int | None, done: int) -> Iterator[TransferBar]:
    """A bar that counts bytes; nothing where nobody watches."""
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=output.remarks(),
        disable=not sys.stderr.isatty(),
    )
    with progress:
        yield TransferBar(progress, progress.add_task(label, total=total, completed=done))


class TransferBar:
    """Counts the bytes of one file."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        """So many more bytes have come."""
        self._progress.advance(self._task, count)
