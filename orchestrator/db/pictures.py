"""Completed videos whose pictures are missing: due again, a few times."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from orchestrator.db.rows import ATTEMPT, VIDEO, pair_query, to_pairs
from orchestrator.records import Attempt, Video


def ring_due(connection: Connection, *, again: float, limit: int) -> list[str]:
    """Mark those that are due as rung and return their ids: those not rung since, or not for
    `again` seconds.
    """
    rows = connection.execute(
        text(
            """
            update videos v set rung_at = now() from (
              select id from videos where pictures_due_at <= now() and status = 'completed'
                and purged_at is null
                and (rung_at is null or rung_at < now() - make_interval(secs => :again)
                  or rung_at < pictures_due_at)
              order by pictures_due_at limit :limit for update skip locked) d
            where v.id = d.id
            returning v.id
            """
        ),
        {"again": again, "limit": limit},
    )
    return list(rows.scalars())


def claim(
    connection: Connection, video_id: str, *, waits: Sequence[float]
) -> tuple[Video, Attempt] | None:
    """Count a try of a video that is due and plan the next one, `waits[n]` seconds after the n-th
    try that failed (the last one is the last). None: it is not due.
    """
    rows = connection.execute(
        pair_query(
            f"""
            with v as (
              update videos u set pictures_tries = u.pictures_tries + 1, pictures_due_at = now()
                + make_interval(secs => (cast(:waits as float[]))[u.pictures_tries + 1])
              where u.id = :id and u.status = 'completed' and u.purged_at is null
                and u.pictures_due_at <= now()
              returning u.*)
            select {VIDEO}, {ATTEMPT} from v join lateral (
              select * from attempts t where t.video_id = v.id and t.state = 'accepted'
                and not t.detached order by t.n desc limit 1) a on true
            """
        ),
        {"id": video_id, "waits": list(waits)},
    )
    return next(iter(to_pairs(rows)), None)


def give_up(connection: Connection, video_id: str) -> None:
    """Nothing can be fetched any more."""
    connection.execute(
        text("update videos set pictures_due_at = null where id = :id"), {"id": video_id}
    )
