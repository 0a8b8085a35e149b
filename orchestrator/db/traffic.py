"""How much there is to do, and how much was done: for operators, of all users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Queue:
    """Videos that are not finished. `oldest_at`: since when the one that waits longest could have
    been submitted; None: nothing waits. `scheduled` ones may not yet, `held` ones wait for an
    operator; neither is in `queued`.
    """

    queued: int
    scheduled: int
    held: int
    in_progress: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened within one minute, which begins `at`."""

    at: datetime
    created: int
    completed: int
    failed: int
    cancelled: int


def queue(connection: Connection) -> Queue:
    """What there is to do now."""
    return Queue(*connection.execute(_QUEUE).one())


# There may be a hundred thousand of these: each number is counted along an index, and as far as
# possible without a look at the rows, which costs three times as much.
_QUEUE = text(
    """
    select a.waiting - s.scheduled - h.waiting, s.scheduled, h.held, r.running, o.ready_at from
      (select count(*) as waiting from videos where status = 'queued') a,
      (select count(*) as scheduled from videos where status = 'queued' and hold_reason is null
        and coalesce(run_at, created_at) > now()) s,
      (select count(*) as held, count(*) filter (where status = 'queued') as waiting
        from videos where hold_reason is not null) h,
      -- Only what is queued has no due time.
      (select count(*) as running from videos where status = 'in_progress'
        and due_at is not null) r
      left join (select coalesce(run_at, created_at) as ready_at from videos
        where status = 'queued' and hold_reason is null
        order by coalesce(run_at, created_at) limit 1) o on o.ready_at <= now()
    """
)


def minutes(connection: Connection, number: int) -> Sequence[Minute]:
    """The last `number` minutes, oldest first, this one included; quiet ones too."""
    rows = connection.execute(
        text(
            "with e as materialized (select date_trunc('minute', created_at) as at, event_type "
            "from video_events where created_at >= "
            "date_trunc('minute', now()) - make_interval(mins => :number - 1) "
            "and event_type in ('created', 'completed', 'failed', 'cancelled')) "
            "select m.at, count(*) filter (where event_type = 'created'), "
            "count(*) filter (where event_type = 'completed'), "
            "count(*) filter (where event_type = 'failed'), "
            "count(*) filter (where event_type = 'cancelled') "
            "from generate_series(date_trunc('minute', now()) - "
            "make_interval(mins => :number - 1), date_trunc('minute', now()), "
            "interval '1 minute') m(at) left join e on e.at = m.at group by m.at order by m.at"
        ),
        {"number": number},
    )
    return [Minute(*row) for row in rows]
