"""Draws the house: who may import whom, as import-linter's contracts in pyproject.toml say it.

Upper floors see lower ones. A room is a module, or a package; in it stands the library that lives
nowhere else. `python docs/generate.py` writes the picture to docs/images/house.svg.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "house.svg"

FLOORS = {
    "api": ("the doors", "HTTP and messages"),
    "cli": ("the command line", ""),
    "local": ("next door", "supervised processes; a provider to practise with"),
    "dispatch": ("use cases", "may use each other"),
    "context": ("composition", "opens everything once"),
    "leases": ("in each process", "renewed leases, log lines"),
    "settings": ("settings", "the environment"),
    "db": ("adapters", "one library each"),
    "lots": ("below adapters", "what several of them share"),
    "policies": ("pure", "no clock, no I/O"),
}
"""What a floor is called, and what is to be known of it, by one of its rooms."""

WIDTH, LEFT, EDGE = 900, 170, 14
ROOM_HEIGHT, ROOM_GAP, PADDING = 24, 6, 9
LETTER, MARGIN = 6.7, 10
ROOF = 54
STYLE = """
text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2933; }
.room { font: 11px ui-monospace, Menlo, Consolas, monospace; }
.library { fill: #9a3412; }
.small { font-size: 11px; fill: #52606d; }
.name { font-weight: 600; }
.floor { fill: #f5f7fa; stroke: #9aa5b1; }
.wall { fill: #ffffff; stroke: #cbd2d9; }
.roof { fill: #e4e7eb; stroke: #9aa5b1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb; } .library { fill: #fdba74; } .small { fill: #9aa5b1; }
  .floor { fill: #1f2933; stroke: #52606d; } .wall { fill: #323f4b; stroke: #52606d; }
  .roof { fill: #3e4c59; stroke: #52606d; }
}
"""


@dataclass(frozen=True)
class Room:
    """A module, and the libraries that only it may import."""

    name: str
    libraries: tuple[str, ...] = ()

    @property
    def width(self) -> float:
        letters = len(" ".join((self.name, *self.libraries)))
        return letters * LETTER + 2 * MARGIN


def floors(project: Mapping[str, Any]) -> list[list[Room]]:
    """The rooms of each floor, from the roof to the ground, by a parsed pyproject.toml."""
    contracts = project["tool"]["importlinter"]["contracts"]
    homes = _homes(contracts)
    doors = next(one["modules"] for one in contracts if one["type"] == "independence")
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    names = [doors, *(re.split(r"\s*[|:]\s*", layer) for layer in layers)]
    return [
        [Room(name, tuple(homes.get(name, ()))) for name in floor]
        for floor in names
        if floor != ["__main__"]
    ]


def _homes(contracts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The libraries of each module, by the exceptions of the contracts that forbid them."""
    found: dict[str, list[str]] = {}
    for contract in contracts:
        for exception in contract.get("ignore_imports", ()):
            importer, library = exception.split(" -> ")
            path = importer.removesuffix(".**").removeprefix("orchestrator.")
            libraries = found.setdefault(path.split(".")[0], [])
            if library not in libraries:
                libraries.append(library)
    return found


def svg(project: Mapping[str, Any]) -> str:
    """The picture, in light and dark. Raises StopIteration for a floor that has no name here."""
    parts: list[str] = []
    y = float(ROOF)
    for floor in floors(project):
        rows = list(_rows(floor))
        height = len(rows) * (ROOM_HEIGHT + ROOM_GAP) - ROOM_GAP + 2 * PADDING
        parts += _floor(floor, rows, y, height)
        y += height
    middle = WIDTH / 2
    roof = f"{EDGE - 10},{ROOF} {middle},6 {WIDTH - EDGE + 10},{ROOF}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 30:g}" role="img">',
            "<title>The house: upper floors import lower ones, never the reverse</title>",
            f"<style>{STYLE}</style>",
            f'<polygon class="roof" points="{roof}"/>',
            _text(
                "upper floors import lower ones, never the reverse", middle, 42, "name", "middle"
            ),
            *parts,
            _text(
                "in colour: libraries, in the only rooms that import them", LEFT, y + 20, "small"
            ),
            "</svg>\n",
        ]
    )


def _rows(rooms: Sequence[Room]) -> Iterator[list[Room]]:
    """As many rooms side by side as there is place for."""
    row: list[Room] = []
    room_left = 0.0
    for room in rooms:
        if row and room.width > room_left:
            yield row
            row = []
        if not row:
            room_left = float(WIDTH - EDGE - PADDING - LEFT)
        row.append(room)
        room_left -= room.width + ROOM_GAP
    yield row


def _floor(
    rooms: Sequence[Room], rows: Sequence[Sequence[Room]], y: float, height: float
) -> Iterator[str]:
    known = next(room.name for room in rooms if room.name in FLOORS)
    name, remark = FLOORS[known]
    yield _box("floor", EDGE, y, WIDTH - 2 * EDGE, height)
    yield _text(name, EDGE + PADDING, y + PADDING + 16, "name")
    if remark and len(rows) > 1:
        yield _text(remark, EDGE + PADDING, y + PADDING + 34, "small")
    for number, row in enumerate(rows):
        x = float(LEFT)
        top = y + PADDING + number * (ROOM_HEIGHT + ROOM_GAP)
        for room in row:
            yield _box("wall", x, top, room.width, ROOM_HEIGHT)
            yield _label(room, x + MARGIN, top + 16)
            x += room.width + ROOM_GAP
        if remark and len(rows) == 1:
            yield _text(remark, x + ROOM_GAP, top + 16, "small")


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="3"/>'
    )


def _text(words: str, x: float, y: float, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def _label(room: Room, x: float, y: float) -> str:
    libraries = f'<tspan class="library"> {" ".join(room.libraries)}</tspan>'
    inner = escape(room.name) + (libraries if room.libraries else "")
    return f'<text class="room" x="{x:.1f}" y="{y:.1f}">{inner}</text>'


def drawn() -> str:
    """The picture as the contracts are now."""
    return svg(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
