"""The submit step: claim, attempt and give back. The attempt is written before the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from orchestrator.db import lanes
from orchestrator.db.lanes import Entry, Lane
from orchestrator.db.prepared import often
from orchestrator.db.rows import ATTEMPT, MINE, VIDEO, attempt_query, to_videos, video_query
from orchestrator.records import Attempt, Video

_CLAIM = often(
    video_query(
        f"""
  -- By their ids alone: an index of what is queued would be walked through, backlog and all.
  with named as materialized (select * from videos where id = any(:ids) order by id for update),
  d as (
    select v.id from named v where v.status = 'queued' and v.step = 'submit'
      and v.admitted_at is not null and v.due_at <= now()
      and (v.lease_until is null or v.lease_until < now())
      and not exists (select 1 from attempts a where a.video_id = v.id and a.ended_at is null)
      and not exists (select 1 from providers p where p.name = v.provider
        and p.account = v.account and p.paused_until > now()))
  update videos v set lease_token = :token, lease_until = now() + make_interval(secs => :lease)
  from d where v.id = d.id
  returning {VIDEO}
"""
    )
)


def claim_submits(
    connection: Connection, video_ids: Sequence[str], *, token: str, lease: float
) -> list[Video]:
    """Take the submit step of those of these videos that are admitted and due, and whose provider
    is not paused.
    """
    values = {"ids": list(video_ids), "token": token, "lease": lease}
    return to_videos(connection.execute(_CLAIM, values))


@dataclass(frozen=True, slots=True)
class Opening:
    """A claimed video that is to have its next attempt.

    lane: None: the provider has no list in which it could be taken for another one.
    """

    video: Video
    lane: Lane | None


_OPEN = often(
    attempt_query(
        f"""
  insert into attempts as a (video_id, n, user_id, provider, account, lane, shown, lease_token,
    lease_until)
  select w.id,
    1 + coalesce((select max(o.n) from attempts o where o.video_id = w.id collate "C"), 0),
    w.owner, w.provider, w.account, w.lane, w.shown, :token, now() + make_interval(secs => :lease)
  from unnest(cast(:ids as text[]), cast(:owners as text[]), cast(:providers as text[]),
    cast(:accounts as text[]), cast(:lanes as text[]), cast(:showns as text[]))
    as w(id, owner, provider, account, lane, shown)
  order by w.id
  returning {ATTEMPT}
"""
    )
)


def open_attempts(
    connection: Connection, openings: Sequence[Opening], *, token: str, lease: float
) -> dict[str, Attempt]:
    """Write the next attempt of each as `sent`; by the ids of the videos. Whose lane is not free
    has none, and waits for it.
    """
    asked = [
        Entry(
            o.video.id, o.video.provider, o.video.account, o.lane, o.video.waits_lane == o.lane.name
        )
        for o in sorted(openings, key=lambda o: (o.video.rank_at, o.video.id))
        if o.lane is not None
    ]
    turned_away = lanes.enter(connection, asked) if asked else set()
    opened = [o for o in openings if o.video.id not in turned_away]
    for opening in opened:
        if opening.video.waits_lane is not None:
            lanes.leave(connection, opening.video.id)
    if not opened:
        return {}
    rows = connection.execute(
        _OPEN,
        {
            "ids": [o.video.id for o in opened],
            "owners": [o.video.user_id for o in opened],
            "providers": [o.video.provider for o in opened],
            "accounts": [o.video.account for o in opened],
            "lanes": [o.lane.name if o.lane is not None and o.lane.alone else None for o in opened],
            "showns": [o.lane.name if o.lane is not None else None for o in opened],
            "token": token,
            "lease": lease,
        },
    )
    return {attempt.video_id: attempt for attempt in (Attempt(*row) for row in rows)}


def give_back(
    connection: Connection,
    video_id: str,
    n: int,
    *,
    token: str,
    due_in: float | None,
    unadmit: bool = True,
) -> bool:
    """Let go of a submit step: try again in `due_in` seconds (None: when its attempt is known),
    from the backlog.

    False: somebody else has decided by now.
    """
    return bool(
        connection.execute(
            text(
                "update videos v set lease_token = null, lease_until = null, "
                "admitted_at = case when :unadmit then null else v.admitted_at end, "
                "due_at = now() + make_interval(secs => cast(:due_in as float)), "
                "snoozed = coalesce(cast(:due_in as float) > 0, false) "
                f"where v.id = :id and v.status = 'queued' and {MINE}"
            ),
            {"id": video_id, "n": n, "token": token, "due_in": due_in, "unadmit": unadmit},
        ).rowcount
    )
