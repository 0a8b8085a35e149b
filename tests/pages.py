"""The documentation as tests read it: its pages, their blocks, and what is said about each block.

A comment directly above a block says what is to be done with it, where that is not to run it:

    <!-- not run: needs an account of a provider -->
    <!-- run by tests/integration/test_backup.py: restore -->
    <!-- stays up: http://127.0.0.1:8000/readyz -->     its last line runs beside what follows,
                                                        which waits for this address, or file
    <!-- file: providers.toml -->                       it is a file of that name
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SHELL = frozenset({"sh", "bash"})
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]+) -->\n)?```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences, at `place` (page and line); `mark` is the comment above."""

    place: str
    language: str
    text: str
    mark: str

    @property
    def kind(self) -> str:
        """The first words of its mark, up to a colon; empty without one."""
        return self.mark.partition(":")[0]

    @property
    def subject(self) -> str:
        """What its mark says after the colon."""
        return self.mark.partition(":")[2].strip()

    @property
    def is_program(self) -> bool:
        """Whether a reader is meant to run it."""
        return self.language in SHELL | {"console", "python"}

    @property
    def is_run_here(self) -> bool:
        """Whether it belongs to the session of its page."""
        return self.kind in {"stays up", "file"} or (self.language in SHELL and not self.mark)


def name_of(page: Path) -> str:
    """Its path, as links and reports have it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            place=f"{name_of(page)}:{text.count(chr(10), 0, found.start()) + 1}",
            language=found["language"],
            text=found["text"],
            mark=found["mark"] or "",
        )
        for found in BLOCK.finditer(text)
    ]
