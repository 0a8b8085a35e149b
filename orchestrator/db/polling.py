"""The poll and store steps: claim and record, many videos in one statement.

Each statement names the ids of its videos as an array: of rows that are joined the planner has to
guess how many there are, and guessed so many that it read the whole table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text
from sqlalchemy.sql.selectable import TextualSelect

from orchestrator.db.prepared import often
from orchestrator.db.rows import ATTEMPT, VIDEO, pair_query, to_pairs, to_videos, video_query
from orchestrator.lifecycle import ALL_BUT_STORED
from orchestrator.records import Attempt, Video

_FREE = "status = 'in_progress' and (lease_until is null or lease_until < now())"


def _claiming(due: str) -> TextualSelect:
    """The statement that takes those whose ids `due` finds and locks, as `d`."""
    return often(
        pair_query(
            f"""
            with {due},
            v as (
              update videos u set lease_token = :token,
                lease_until = now() + make_interval(secs => :lease)
              from d where u.id = d.id returning u.*)
            select {VIDEO}, {ATTEMPT} from v join lateral (
              select * from attempts t where t.video_id = v.id and t.state = 'accepted'
                and not t.detached
              order by t.n desc limit 1) a on true
            """
        )
    )


# By their ids alone: an index of what is due would be walked through, and much may be due.
_CLAIM = _claiming(
    f"""
    named as materialized (
      select * from videos where id = any(:ids) order by id for update skip locked),
    d as (select id from named where step = :step and due_at <= now() and {_FREE})
    """
)
_CLAIM_DUE = _claiming(
    f"""
    d as (
      select id from videos where provider = :provider and account = :account
        and step = 'poll' and due_at <= now() and {_FREE}
      order by due_at limit :limit for update skip locked)
    """
)


def claim(
    connection: Connection, video_ids: Sequence[str], step: str, *, token: str, lease: float
) -> list[tuple[Video, Attempt]]:
    """Take the due ones among these videos for their poll or store step, with the attempt that the
    provider accepted.
    """
    values = {"ids": list(video_ids), "step": step, "token": token, "lease": lease}
    return to_pairs(connection.execute(_CLAIM, values))


def claim_due(
    connection: Connection, provider: str, account: str, *, token: str, lease: float, limit: int
) -> list[tuple[Video, Attempt]]:
    """Take the due polls of an account, the longest due first."""
    values = {"provider": provider, "account": account, "limit": limit}
    return to_pairs(connection.execute(_CLAIM_DUE, {**values, "token": token, "lease": lease}))


def held(connection: Connection, video_ids: Sequence[str], *, token: str) -> set[str]:
    """Those of these videos whose lease still has this token."""
    return set(
        connection.execute(
            text("select id from videos where id = any(:ids) and lease_token = :token"),
            {"ids": list(video_ids), "token": token},
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class Running:
    """The provider still works on it."""

    id: str
    progress: int
    due_in: float


_STILL_RUNNING = often(
    video_query(
        f"""
        with r as (select * from jsonb_to_recordset(cast(:found as jsonb)) as r(id text,
        progress integer, due_in float)),
        o as (select id, progress from videos where id = any(:ids) order by id for update),
        v as (
          update videos u set progress = greatest(u.progress, r.progress), last_polled_at =
            now(),
            due_at = now() + make_interval(secs => r.due_in), lease_token = null, lease_until
            = null,
            failures = 0, missing_since = null, updated_at = case when r.progress >
            o.progress then now() else u.updated_at end,
            seq = u.seq + case when r.progress > o.progress then 1 else 0 end
          from r join o on o.id = r.id collate "C"
          where u.id = any(:ids) and u.id = o.id and u.lease_token = :token and u.step = 'poll'
          returning u.*, r.progress > o.progress as moved),
        told as (
          insert into video_events (video_id, event_type, event_data, seq, user_id)
          select v.id, 'progress', jsonb_build_object('progress', v.progress), v.seq,
            v.user_id from v where v.moved)
        select {VIDEO} from v where v.moved
        """
    )
)


def still_running(connection: Connection, found: Sequence[Running], *, token: str) -> list[Video]:
    """Record looks that found work going on: progress never falls, and an event tells only of a
    change.
    """
    if not found:
        return []
    rows = connection.execute(
        _STILL_RUNNING,
        {
            "ids": [item.id for item in found],
            "found": json.dumps([asdict(item) for item in found]),
            "token": token,
        },
    )
    return to_videos(rows)


@dataclass(frozen=True, slots=True)
class Generated:
    """The provider has finished it; its bytes are still there and not yet here."""

    id: str
    n: int
    upstream_status: str
    cost: Decimal
    content_expires_at: datetime


_GENERATED = often(
    video_query(
        f"""
        with g as (select * from jsonb_to_recordset(cast(:found as jsonb)) as
                     g(id text, n integer, upstream_status text, cost numeric,
                     content_expires_at timestamptz)),
        o as (select id from videos where id = any(:ids) order by id for update),
        v as (
          -- Due since the look was: another time would renew the entries of all indexes.
          update videos u set step = 'store', progress = {ALL_BUT_STORED},
            last_polled_at = now(), rung_at = now(),
            lease_token = null, lease_until = null, failures = 0, missing_since = null,
            updated_at = now(),
            cost_actual = u.cost_actual + g.cost, seq = u.seq + 1
          from g join o on o.id = g.id collate "C"
          where u.id = any(:ids) and u.id = o.id and u.lease_token = :token and u.step = 'poll'
          returning u.*, g.n, g.upstream_status, g.cost, g.content_expires_at),
        ended as (
          update attempts a set ended_at = now(), upstream_status = v.upstream_status, cost =
            v.cost,
            content_expires_at = v.content_expires_at
          from v where a.video_id = v.id and a.n = v.n),
        told as (
          insert into video_events (video_id, event_type, event_data, seq, user_id)
          select v.id, 'progress', jsonb_build_object('progress', v.progress), v.seq,
            v.user_id from v)
        select {VIDEO} from v
        """
    )
)


def generated(connection: Connection, found: Sequence[Generated], *, token: str) -> list[Video]:
    """Record what the provider has finished: the slot is free, the charge is booked, the store step
    is due now.
    """
    if not found:
        return []
    rows = connection.execute(
        _GENERATED,
        {
            "ids": [item.id for item in found],
            "found": json.dumps([asdict(item) for item in found], default=str),
            "token": token,
        },
    )
    return to_videos(rows)


_SNOOZE = often(
    text(
        "update videos set lease_token = null, lease_until = null, "
        "due_at = now() + make_interval(secs => :due_in), failures = failures + :failed, "
        "missing_since = case when :missing then coalesce(missing_since, now()) else "
        "missing_since end "
        "where id in (select id from videos where id = any(:ids) and lease_token = :token "
        "order by id for update)"
    )
)


def snooze(
    connection: Connection,
    video_ids: Sequence[str],
    *,
    token: str,
    due_in: float,
    failed: bool = False,
    missing: bool = False,
) -> None:
    """Give leases back without news: look again in `due_in` seconds. Nothing is counted against the
    video.
    """
    if not video_ids:
        return
    connection.execute(
        _SNOOZE,
        {
            "ids": list(video_ids),
            "token": token,
            "due_in": due_in,
            "failed": int(failed),
            "missing": missing,
        },
    )


def ask(connection: Connection, video_id: str, *, at_least: float) -> bool:
    """Somebody wants to know now: make the poll due, if the last look is older than `at_least`
    seconds.
    """
    return bool(
        connection.execute(
            text(
                "update videos set due_at = now(), rung_at = now() where id = :id and step = "
                "'poll' and due_at > now() "
                "and lease_token is null "
                "and coalesce(last_polled_at, created_at) < now() - make_interval(secs => "
                ":at_least)"
            ),
            {"id": video_id, "at_least": at_least},
        ).rowcount
    )
