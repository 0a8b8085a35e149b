"""From result rows to records: by position, since tables and records list their columns in the same
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.sql.selectable import TextualSelect

from orchestrator.db.tables import attempts, videos
from orchestrator.records import Attempt, Video

_VIDEO_WIDTH = len(videos.columns)
# To name the columns of a result takes longer than to run the statement, and there are few texts.
_STATEMENTS = 512


def columns(alias: str, table: Any = videos) -> str:
    """`alias.a, alias.b, …`: every column of the table, in order."""
    return ", ".join(f"{alias}.{column.name}" for column in table.columns)


VIDEO = columns("v")
ATTEMPT = columns("a", attempts)


# A worker may write while its token is on the row, or while nobody's is and no other attempt is
# open: then nobody has
# decided otherwise since, and what it knows (a late answer of the provider, say) still counts.
MINE = (
    "(v.lease_token = :token or (v.lease_token is null and not exists (select 1 from attempts o "
    "where o.video_id = v.id and o.ended_at is null and not o.detached and o.n <> :n)))"
)


@lru_cache(_STATEMENTS)
def video_query(sql: str) -> TextualSelect:
    """A statement whose result is whole videos."""
    return text(sql).columns(*videos.columns)


@lru_cache(_STATEMENTS)
def attempt_query(sql: str) -> TextualSelect:
    """A statement whose result is whole attempts."""
    return text(sql).columns(*attempts.columns)


@lru_cache(_STATEMENTS)
def pair_query(sql: str) -> TextualSelect:
    """A statement whose rows are a whole video followed by a whole attempt."""
    return text(sql).columns(*videos.columns, *attempts.columns)


def to_videos(rows: Iterable[Sequence[Any]]) -> list[Video]:
    """Whole videos from the rows of `video_query`."""
    return [Video(*row) for row in rows]


def to_pairs(rows: Iterable[Sequence[Any]]) -> list[tuple[Video, Attempt]]:
    """Videos and attempts from the rows of `pair_query`."""
    return [(Video(*row[:_VIDEO_WIDTH]), Attempt(*row[_VIDEO_WIDTH:])) for row in rows]
