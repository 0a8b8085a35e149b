"""Whether everything that was promised holds: for `orchestrator doctor --check`, and after every
run of the chaos suite.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.context import Context
from orchestrator.db import invariants as rows

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be: the rule, whose it is, and what was found."""

    rule: str
    id: str
    found: str


def check(ctx: Context, *, settled: bool = False) -> list[Violation]:
    """Everything that breaks a rule; an empty list is what one wants to see. Reads whole
    tables, a page at a time.

    Args:
        settled: also demand that nothing is under way: no video, attempt, lease or delivery is
            open.
    """
    with ctx.database.statement() as connection:
        found = [Violation(*broken) for broken in rows.broken(connection)]
        if settled:
            found += [
                Violation("nothing is left open", name, str(count))
                for name, count in rows.still_open(connection).items()
                if count
            ]
    return found + _missing_contents(ctx)


def _missing_contents(ctx: Context) -> list[Violation]:
    """Completed videos whose bytes are not there, or not as many as there were."""
    missing = []
    after = ""
    while True:
        with ctx.database.statement() as connection:
            page = rows.contents(connection, after=after, limit=PAGE)
        for video_id, key, size in page:
            stored = ctx.storage.stat(key)
            if stored is None or stored.size != size:
                there = "nothing" if stored is None else f"{stored.size} bytes"
                missing.append(
                    Violation("completed videos have their bytes", video_id, f"{there} of {size}")
                )
        if len(page) < PAGE:
            return missing
        after = page[-1][0]
