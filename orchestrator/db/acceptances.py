"""Acceptances: what providers have just taken, of many videos in one statement.

Only the plain ones: the video still waits for this very attempt. `orchestrator/outcomes.py` deals
with the others one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db.polling import Generated
from orchestrator.db.prepared import often


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The provider's id of an attempt, learnt by whoever has this lease of its video; `finished` if
    the answer was the finished video.
    """

    video_id: str
    n: int
    provider_video_id: str
    canonical_id: str
    token: str
    finished: Generated | None = None


def write(connection: Connection, found: Sequence[Acceptance]) -> set[str]:
    """Write these ids to their attempts, where the token still holds the video; locks both. Returns
    the ids of the videos where it did.

    Raises:
        IntegrityError: another attempt has one of the provider's ids already.
    """
    rows = connection.execute(
        _WRITE,
        {
            "ids": [item.video_id for item in found],
            "ns": [item.n for item in found],
            "raws": [item.provider_video_id for item in found],
            "canonicals": [item.canonical_id for item in found],
            "tokens": [item.token for item in found],
            "words": [item.finished and item.finished.upstream_status for item in found],
            "costs": [item.finished and item.finished.cost for item in found],
            "expiries": [item.finished and item.finished.content_expires_at for item in found],
        },
    )
    return set(rows.scalars())


_WRITE = often(
    text(
        """
    with w as (select * from unnest(cast(:ids as text[]), cast(:ns as integer[]),
        cast(:raws as text[]), cast(:canonicals as text[]), cast(:tokens as text[]),
        cast(:words as text[]), cast(:costs as numeric[]), cast(:expiries as timestamptz[]))
        as w(id, n, raw, canonical, token, word, cost, expires)),
    -- By their ids alone: an index of what is queued would be walked through, backlog and all.
    v as materialized (
      select id, status, lease_token from videos where id = any(:ids) order by id for update),
    held as (
      select a.video_id, a.n, w.raw, w.canonical, w.word, w.cost, w.expires from w
      join v on v.id = w.id collate "C" join attempts a on a.video_id = v.id and a.n = w.n
      where v.status = 'queued' and v.lease_token = w.token
        and a.state = 'sent' and a.canonical_id is null
        and not exists (select 1 from attempts o where o.video_id = v.id and o.n <> a.n
          and o.ended_at is null and not o.detached)
      order by a.video_id for update of a)
    update attempts a set state = 'accepted', provider_video_id = h.raw,
      canonical_id = h.canonical, accepted_at = clock_timestamp(),
      ended_at = case when h.expires is not null then clock_timestamp() end,
      upstream_status = h.word, cost = h.cost, content_expires_at = h.expires,
      detached = false, due_at = null, lease_token = null, lease_until = null
    from held h where a.video_id = h.video_id and a.n = h.n
    returning a.video_id
    """
    )
)
