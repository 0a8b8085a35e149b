"""Whether everything that was promised holds: for `orchestrator doctor --check`, and after every
run of the chaos suite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.context import Context
from orchestrator.db import invariants as rows
from orchestrator.db.invariants import Content
from orchestrator.errors import StorageError

PAGE = 1000


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be: the rule, whose it is, and what was found."""

    rule: str
    id: str
    found: str


def check(ctx: Context, *, settled: bool = False, read: bool = False) -> list[Violation]:
    """Everything that breaks a rule; an empty list is what one wants to see. Reads whole
    tables, a page at a time.

    Args:
        settled: also demand that nothing is under way: no video, attempt, lease or delivery is
            open.
        read: also read every stored video and compare its hash.
    """
    with ctx.database.statement() as connection:
        found = [Violation(*broken) for broken in rows.broken(connection)]
        if settled:
            found += [
                Violation("nothing is left open", name, str(count))
                for name, count in rows.still_open(connection).items()
                if count
            ]
    return [*found, *_broken_contents(ctx, read=read)]


def _broken_contents(ctx: Context, *, read: bool) -> Iterator[Violation]:
    """Completed videos whose bytes are not there, or are not those that there were."""
    after = ""
    while True:
        with ctx.database.statement() as connection:
            page = rows.contents(connection, after=after, limit=PAGE)
        for content in page:
            complaint = _complaint(ctx, content, read=read)
            # It may have been deleted and purged since the page was read.
            if complaint is not None and _is_owed(ctx, content):
                yield Violation("completed videos have their bytes", content.video_id, complaint)
        if len(page) < PAGE:
            return
        after = page[-1].video_id


def _complaint(ctx: Context, content: Content, *, read: bool) -> str | None:
    """What is wrong with these bytes; None: nothing."""
    stored = ctx.storage.stat(content.key)
    if stored is None:
        return f"nothing of {content.size} bytes"
    if stored.size != content.size:
        return f"{stored.size} bytes of {content.size}"
    if read and (found := _sha256(ctx, content.key)) != content.sha256:
        return f"sha256 {found or 'unreadable'} instead of {content.sha256}"
    return None


def _sha256(ctx: Context, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with ctx.storage.open(key) as stored:
            for chunk in stored.chunks:
                digest.update(chunk)
    except StorageError:
        return None
    return digest.hexdigest()


def _is_owed(ctx: Context, content: Content) -> bool:
    with ctx.database.statement() as connection:
        return rows.owed(connection, content.video_id)
