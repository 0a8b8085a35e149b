"""Writes those parts of the documentation that only repeat the code: `python docs/generate.py`.

A part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`; what is outside is
written by hand. The picture of the house is drawn, too. tests/unit/test_docs.py fails while a file
and the code disagree.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from flask import Flask

from api import create_app, openapi, permissions
from api.codes import CODES
from docs import house
from orchestrator import context, settings
from orchestrator.catalog import PROFILES, Profile
from orchestrator.cli.group import SECTIONS, main
from orchestrator.db.schema import script
from orchestrator.gauges import GAUGES, Gauge
from orchestrator.lifecycle import (
    AUDIT_EVENTS,
    TERMINAL,
    TRANSITIONS,
    AttemptState,
    EventType,
    QuotaState,
    Status,
    Step,
    Transition,
)
from orchestrator.meters import COUNTERS, HISTOGRAMS, Counter, Histogram

ROOT = Path(__file__).parents[1]
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_TABLE = re.compile(r"((?:^-- .*\n)+)create table if not exists (\w+)", re.MULTILINE)


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def rendered(text: str) -> str:
    """A page with its generated parts as the code has them now. Raises KeyError for an unknown
    part."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _code(words: Iterable[object]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _meanings(words: type[StrEnum]) -> Mapping[str, str]:
    """The sentence below each member, which Python itself throws away."""
    body = ast.parse(inspect.getsource(words)).body[0]
    found = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for name, text in pairwise(statements):
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr):
            found[words[ast.unparse(name.targets[0])].value] = ast.literal_eval(text.value)
    return {word: " ".join(text.split()) for word, text in found.items()}


def _words(words: type[StrEnum]) -> str:
    return _table(
        ("Word", "Meaning"), ([f"`{word}`", text] for word, text in _meanings(words).items())
    )


def _in_order(statuses: Iterable[Status]) -> list[Status]:
    return sorted(statuses, key=list(Status).index)


def _diagram() -> str:
    edges = [
        f"    {source} --> {move.target}: {move.name}"
        for move in TRANSITIONS
        for source in _in_order(move.sources)
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> queued", *edges, "```"])


def _statuses() -> str:
    meanings = _meanings(Status)
    return _table(
        ("Status", "Final", "Meaning"),
        ([f"`{s}`", "yes" if s in TERMINAL else "no", meanings[s]] for s in Status),
    )


def _transitions() -> str:
    def row(move: Transition) -> list[str]:
        return [
            move.name,
            _code(_in_order(move.sources)),
            f"`{move.target}`",
            _code(move.events),
        ]

    return _table(("Transition", "From", "To", "Events"), map(row, TRANSITIONS))


def _events() -> str:
    meanings = _meanings(EventType)
    return _table(
        ("Event", "Numbered", "It says that"),
        ([f"`{e}`", "no" if e in AUDIT_EVENTS else "yes", meanings[e]] for e in EventType),
    )


def _error_codes() -> str:
    rows = sorted((one.status, code, one.meaning) for code, one in CODES.items())
    return _table(
        ("HTTP", "Code", "Meaning"), ([status, f"`{code}`", text] for status, code, text in rows)
    )


def _profile_requests() -> str:
    def row(profile: Profile) -> list[object]:
        return [
            f"`{profile.name}`",
            profile.create_encoding,
            ", ".join(f'"{s}"' for s in profile.seconds.allowed)
            or f'"{profile.seconds.low}" to "{profile.seconds.high}"',
            ", ".join(profile.sizes.allowed) or "any even",
            profile.remix,
            "yes" if profile.quality else "no",
            profile.max_in_flight or "none",
        ]

    head = ("Profile", "Create", "`seconds`", "`size`", "Remix by", "`quality`", "Cap")
    return _table(head, map(row, PROFILES.values()))


def _profile_answers() -> str:
    def row(profile: Profile) -> list[object]:
        listed = profile.list != "none"
        asked = listed and not profile.honours_idempotency_key
        return [
            f"`{profile.name}`",
            profile.list,
            ", ".join(sorted(profile.echoes)) or "nothing",
            "no" if not listed else "shared" if profile.shows_whole(has_image=False) else "alone",
            "asks the list" if asked else f"`{profile.on_unknown}`",
            "yes" if profile.delete_cancels else "no",
            f"{profile.poll_min_seconds:g} s",
            f"{profile.missing_grace_seconds:g} s",
            f"{profile.retention.total_seconds() / 3600:g} h",
        ]

    head = (
        *("Profile", "List", "It echoes", "Lanes", "Unknown outcome"),
        *("DELETE stops", "First poll", "404 for", "Content kept"),
    )
    return _table(head, map(row, PROFILES.values()))


def _document() -> dict[str, Any]:
    with application() as app:
        return openapi.document(app)


@contextmanager
def application() -> Iterator[Flask]:
    """The API with no settings at all: it can be asked about itself only."""
    ctx = context.build(settings.load({}))
    try:
        yield create_app(ctx)
    finally:
        ctx.close()


def _permissions() -> str:
    with application() as app:
        found = permissions.table(app)
    rows = ([f"`{one.method} {one.path}`", *one.cells.values()] for one in found)
    return _table(("Request", *permissions.ROLES), rows)


def _http() -> str:
    document = _document()
    by_tag: dict[str, list[list[str]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            codes = list(operation["responses"])
            row = [f"`{method.upper()} {path}`", operation["summary"], ", ".join(codes)]
            by_tag[operation["tags"][0]].append(row)
    tables = (
        f"### {tag}\n\n" + _table(("Request", "What it does", "Answers"), rows)
        for tag, rows in by_tag.items()
        if rows
    )
    return "\n\n".join(tables)


def _commands() -> str:
    root = click.Context(main, info_name="orchestrator", terminal_width=90, **main.context_settings)
    parts = []
    for title, entries in SECTIONS:
        parts.append(f"## {title}")
        for entry in entries:
            command = main.get_command(root, entry.name)
            if command is not None:
                parts += _help(command, entry.name, root)
    return "\n\n".join(parts)


def _help(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    own = click.Context(command, parent, info_name=name, terminal_width=90)
    yield f"### {own.command_path}\n\n```text\n{command.get_help(own)}\n```"
    if isinstance(command, click.Group):
        for child, found in command.commands.items():
            yield from _help(found, child, own)


def _tables() -> str:
    def text(comment: str) -> str:
        lines = [line.removeprefix("-- ") for line in comment.splitlines()]
        return " ".join(lines)

    rows = ([f"`{name}`", text(comment)] for comment, name in _TABLE.findall(script()))
    return _table(("Table", "What it holds"), rows)


def _metrics(metrics: Iterable[Gauge | Counter | Histogram]) -> str:
    rows = ([f"`{one.name}`", _code(one.labels) or "none", one.help] for one in metrics)
    return _table(("Metric", "Labels", "It says"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "state-diagram": _diagram,
    "statuses": _statuses,
    "transitions": _transitions,
    "steps": lambda: _words(Step),
    "attempt-states": lambda: _words(AttemptState),
    "quota-states": lambda: _words(QuotaState),
    "events": _events,
    "error-codes": _error_codes,
    "profile-requests": _profile_requests,
    "profile-answers": _profile_answers,
    "http": _http,
    "permissions": _permissions,
    "commands": _commands,
    "tables": _tables,
    "metrics-gauges": lambda: _metrics(GAUGES),
    "metrics-counters": lambda: _metrics(COUNTERS),
    "metrics-histograms": lambda: _metrics(HISTOGRAMS),
}


def write() -> list[Path]:
    """Bring every page, and the picture of the house, up to date; returns what changed."""
    changed = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := rendered(text)) != text:
            page.write_text(new, encoding="utf-8")
            changed.append(page)
    if not house.PICTURE.exists() or house.PICTURE.read_text(encoding="utf-8") != house.drawn():
        house.PICTURE.write_text(house.drawn(), encoding="utf-8")
        changed.append(house.PICTURE)
    return changed


if __name__ == "__main__":
    for page in write():
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
