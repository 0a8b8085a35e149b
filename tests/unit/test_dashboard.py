"""The dashboard's files, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

API = Path(__file__).resolve().parents[2] / "api"
MODULES = sorted((API / "static" / "dashboard").glob("*.js"))
SHEETS = sorted((API / "static" / "dashboard").glob("*.css"))
TEMPLATES = sorted((API / "templates" / "dashboard").glob("*.html"))
MOST_LINES = 250


def texts(files: list[Path]) -> str:
    """All that is in these files."""
    return "\n".join(path.read_text() for path in files)


def test_classes_that_are_styled_are_used() -> None:
    """A rule for what no element has is dead."""
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", texts(SHEETS), flags=re.DOTALL)
    styled = set(re.findall(r"\.([a-z][\w-]*)", rules))
    words = set(re.findall(r"[\w-]+", texts([*MODULES, *TEMPLATES])))

    assert set() == {name for name in styled if name not in words and not name.startswith("icon-")}


def test_properties_that_are_set_are_used() -> None:
    """The same for custom properties, and the other way round."""
    css = texts(SHEETS)
    code = css + texts([*MODULES, *TEMPLATES])
    set_somewhere = set(re.findall(r"(--[a-z][\w-]*)(?=:|\", )", code))
    used = set(re.findall(r"var\((--[\w-]+)", css))

    assert set_somewhere == used


def test_modules_are_short() -> None:
    """One noun each, and no more to read at a time than elsewhere in this house."""
    assert [] == [path.name for path in MODULES if path.read_text().count("\n") > MOST_LINES]
