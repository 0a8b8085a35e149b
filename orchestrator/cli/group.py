"""The root command: which commands there are, without importing any of them."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator import __version__
from orchestrator.cli.errors import Failed
from orchestrator.errors import DependencyDown, OrchestratorError


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is not loaded yet; `summary` is the first sentence of its help."""

    name: str
    module: str
    summary: str

    @property
    def attribute(self) -> str:
        """What it is called in its module: `list` and the like would hide Python's own."""
        return f"{self.name}_command"


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Start here",
        (
            Entry("demo", "stack", "Make a first video and a remix of it, with nothing prepared."),
            Entry("up", "stack", "Run everything on this machine until Ctrl-C."),
        ),
    ),
    (
        "Videos (over HTTP)",
        (
            Entry("submit", "submissions", "Ask for a video."),
            Entry("watch", "watching", "Follow videos until they have ended."),
            Entry("list", "browsing", "List your videos, newest first."),
            Entry("show", "browsing", "Show a video and what happened to it."),
            Entry("download", "downloads", "Save a finished video."),
            Entry("remix", "submissions", "Ask for a variation of a finished video."),
            Entry("retry", "submissions", "Ask again for a video that failed or was cancelled."),
            Entry("cancel", "changes", "Stop videos that are not finished."),
            Entry("archive", "changes", "Put videos out of the way, or back."),
            Entry("delete", "changes", "Delete videos."),
            Entry("quota", "quotas", "Show a quota, or change it as an admin."),
            Entry("webhooks", "webhooks", "Have your own addresses told of what happens."),
        ),
    ),
    (
        "Operation (on the database and services)",
        (
            Entry("resolve", "operation", "Decide about a held video, or list them all."),
            Entry("providers", "operation", "Show the providers, pause or resume one."),
            Entry("doctor", "doctor", "Check settings, services, workers and providers."),
            Entry("keys", "keys", "Make, list and revoke API keys."),
            Entry("users", "users", "Erase all data of a user."),
            Entry("migrate", "processes", "Create or update the tables."),
            Entry("web", "processes", "Run the HTTP server."),
            Entry("scheduler", "processes", "Run the scheduler."),
            Entry("sandbox", "sandbox", "Run a provider on this machine that renders real videos."),
            Entry(
                "completion",
                "completion",
                "Print what makes a shell complete commands and options.",
            ),
        ),
    ),
)


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands by name, in the order of the help; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._entries = {entry.name: entry for _, entries in SECTIONS for entry in entries}

    def __getitem__(self, name: str) -> click.Command:
        entry = self._entries[name]
        module = import_module(f"orchestrator.cli.{entry.module}")
        command: click.Command = getattr(module, entry.attribute)
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError("commands are declared in SECTIONS")

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are declared in SECTIONS")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class LazyGroup(click.Group):
    """A group that can tell of its commands without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, not of the alphabet."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By section."""
        for title, entries in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(entry.name, entry.summary) for entry in entries])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin so, and the options."""
        found = [
            CompletionItem(entry.name, help=entry.summary)
            for _, entries in SECTIONS
            for entry in entries
            if entry.name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the orchestrator can explain is a line, not a traceback."""
        try:
            return super().invoke(ctx)
        except DependencyDown as error:
            advice = "What is wrong, and which variable to correct: orchestrator doctor"
            raise Failed(f"{error} {advice}") from error
        except OrchestratorError as error:
            named = error.param is None or str(error).startswith(error.param)
            raise Failed(str(error) if named else f"{error.param}: {error}") from error


@click.command(
    cls=LazyGroup,
    commands=LazyCommands(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  orchestrator demo                                   a first video, offline
  orchestrator submit "A red kite" --watch --out .    ask, wait, save
  orchestrator list --status failed --json            for scripts

\b
Which server: ORCHESTRATOR_URL (else this machine, port $PORT or 8000),
with the key in ORCHESTRATOR_API_KEY.

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no answer from the server,
4 refused by the server.

\b
Completion: add to ~/.bashrc (zsh and fish: see `orchestrator completion -h`)
  eval "$(orchestrator completion bash)"
""",
)
@click.version_option(__version__, prog_name="orchestrator")
def main() -> None:
    """Ask for AI videos and get every one of them: a durable orchestrator for video generation."""
