"""The submit step: claim, attempt and give back. The attempt is written before the call."""

from __future__ import annotations

from sqlalchemy import Connection, text

from orchestrator.db import lanes
from orchestrator.db.lanes import Lane
from orchestrator.db.rows import ATTEMPT, MINE, VIDEO, attempt_query, video_query
from orchestrator.records import Attempt, Video


def claim_submit(
    connection: Connection, video_id: str, *, token: str, lease: float
) -> Video | None:
    """Take the submit step of an admitted, due video whose provider is not paused. None: nothing to
    do there.
    """
    row = connection.execute(
        video_query(
            f"""
            update videos v set lease_token = :token, lease_until = now() + make_interval(secs =>
              :lease)
            where v.id = :id and v.status = 'queued' and v.step = 'submit' and v.admitted_at is
              not null
              and v.due_at <= now() and (v.lease_until is null or v.lease_until < now())
              and not exists (select 1 from attempts a where a.video_id = v.id and a.ended_at is
                null)
              and not exists (select 1 from providers p where p.name = v.provider and p.account =
                v.account and p.paused_until > now())
            returning {VIDEO}
            """
        ),
        {"id": video_id, "token": token, "lease": lease},
    ).one_or_none()
    return None if row is None else Video(*row)


def open_attempt(
    connection: Connection, video: Video, *, lane: Lane | None, token: str, lease: float
) -> Attempt | None:
    """Write the next attempt of a claimed video as `sent`. None: its lane is not free; the video
    waits for it.

    Args:
        lane: None: the provider has no list in which it could be taken for another one.
    """
    if lane is not None:
        account = (video.provider, video.account)
        called = video.waits_lane == lane.name
        if not lanes.enter(connection, video.id, *account, lane, called=called):
            lanes.wait(connection, video.id, lane)
            return None
    if video.waits_lane is not None:
        lanes.leave(connection, video.id)
    row = connection.execute(
        attempt_query(
            f"""
            insert into attempts as a (video_id, n, provider, account, lane, shown, lease_token,
              lease_until)
            select :id, coalesce(max(o.n), 0) + 1, :provider, :account, :lane, :shown, :token,
              now() + make_interval(secs => :lease)
            from attempts o where o.video_id = :id
            returning {ATTEMPT}
            """
        ),
        {
            "id": video.id,
            "provider": video.provider,
            "account": video.account,
            "lane": lane.name if lane is not None and lane.alone else None,
            "shown": lane.name if lane is not None else None,
            "token": token,
            "lease": lease,
        },
    ).one()
    return Attempt(*row)


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
