"""What must hold between the rows at any moment, as queries for what breaks it. Together they read
all tables, a page at a time: for operators and tests, not for loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, text

VIDEOS_A_PAGE = 2000
USERS_A_PAGE = 200

# Said of both sides of a join, so that neither is read beyond the page.
_HERE = "v.id > :after and v.id <= :upto"
_OPEN = (
    "select 1 from attempts a where a.video_id = v.id and a.video_id > :after "
    "and a.video_id <= :upto and a.ended_at is null"
)
_ATTEMPTS = (
    "videos v left join attempts a on a.video_id = v.id and a.video_id > :after "
    "and a.video_id <= :upto"
)

# Each query lists what is wrong as (id, what). Written so that a running system is never reported:
# everything here changes within one transaction.
OF_VIDEOS: Mapping[str, str] = {
    "events are numbered without gaps": f"""
        select v.id, format('seq %s, events %s, last %s', v.seq, count(e.seq), max(e.seq))
        from videos v left join video_events e on e.video_id = v.id and e.seq is not null
          and e.video_id > :after and e.video_id <= :upto
        where {_HERE}
        group by v.id having count(e.seq) <> max(e.seq) - min(e.seq) + 1 or v.seq <> max(e.seq)
          -- The oldest may have been pruned, but only of what is over.
          or (v.finished_at is null and min(e.seq) is distinct from 1)""",
    "a video ends once": f"""
        select v.id, format('%s, with %s', v.status, string_agg(e.event_type, ', ' order by e.seq))
        from videos v join video_events e on e.video_id = v.id
          and e.video_id > :after and e.video_id <= :upto
          and e.event_type in ('completed', 'failed', 'cancelled')
        where {_HERE}
        group by v.id having count(*) > 1
          or v.status not in ('deleted', min(e.event_type))""",
    "an ended video is settled, or its attempt is watched": f"""
        select v.id, format('%s and still reserved', v.status) from videos v
        where {_HERE} and v.finished_at is not null and v.quota_state = 'reserved'
          and not exists ({_OPEN})""",
    "a video is settled as it ended": f"""
        select v.id, format('%s and %s', v.status, v.quota_state) from videos v
        where {_HERE} and case v.status when 'completed' then v.quota_state <> 'kept'
          when 'failed' then v.quota_state <> 'released'
          when 'queued' then v.quota_state <> 'reserved'
          when 'in_progress' then v.quota_state <> 'reserved' else false end""",
    "completed videos are charged once": f"""
        select v.id, format('cost_actual %s, attempts %s', v.cost_actual, coalesce(sum(a.cost), 0))
        from {_ATTEMPTS} where {_HERE}
        group by v.id having v.cost_actual <> coalesce(sum(a.cost), 0)""",
    "content belongs to its video": f"""
        select v.id, v.content_key from videos v
        where {_HERE} and v.content_key is not null
          and v.content_key not like 'videos/' || v.id || '/' || v.content_sha256 || '.%'""",
    "an ended video has no attempt of its own": f"""
        select v.id, format('%s, attempt %s is %s', v.status, a.n, a.state) from {_ATTEMPTS}
        where {_HERE} and a.ended_at is null and not a.detached and v.finished_at is not null""",
    "a running video has the attempt that it runs by": f"""
        select v.id, v.step from videos v
        where {_HERE} and v.status = 'in_progress' and not exists (select 1 from attempts a
          where a.video_id = v.id and a.video_id > :after and a.video_id <= :upto
            and a.state = 'accepted' and not a.detached)""",
    "what is live is due, asked about or held": f"""
        select v.id, format('%s without a due time', v.step) from videos v
        where {_HERE} and v.step is not null and v.due_at is null and v.hold_reason is null
          and v.waits_lane is null and not exists ({_OPEN})""",
    "who needs a lane alone is alone there": f"""
        select v.id, format('attempt %s is not', a.n) from {_ATTEMPTS}
        where {_HERE} and a.lane is not null and a.state in ('sent', 'unknown')
          and exists (select 1 from attempts o where o.provider = a.provider
            and o.account = a.account and o.shown = a.lane and o.state in ('sent', 'unknown')
            and (o.video_id, o.n) <> (a.video_id, a.n))""",
    "an attempt that is watched is due": f"""
        select v.id, format('attempt %s is %s and not due', a.n, a.state) from {_ATTEMPTS}
        where {_HERE} and a.ended_at is null and a.detached and a.state <> 'sent'
          and a.due_at is null""",
    # Whoever works next takes over what has run out, so a lease that nobody has taken for so long
    # says that nobody works, or that it was forgotten.
    "no lease of a video outlives its holder": f"""
        select v.id, format('lease ran out at %s', v.lease_until) from videos v
        where {_HERE} and v.lease_until < now() - interval '1 hour'""",
    # The leases that want to be renewed are looked for among what is due. The clock is that of the
    # moment: what became due and was claimed since this transaction began is no finding.
    "a leased step is due": f"""
        select v.id, format('%s and leased, due at %s', v.status, v.due_at) from videos v
        where {_HERE} and v.lease_token is not null and (v.due_at is null
          or v.due_at > clock_timestamp() or v.status = 'queued' and v.admitted_at is null)""",
}
OF_USERS: Mapping[str, str] = {
    "quota equals the rows": """
        select q.user_id, format('videos_created %s, rows say %s; cost_used %s, rows say %s',
          q.videos_created, r.videos, q.cost_used, r.cost)
        from user_quotas q left join lateral (
          select count(*) filter (where quota_state <> 'released') as videos,
            coalesce(sum(case quota_state when 'reserved' then cost_estimated else cost_actual end),
              0) as cost
          from videos v where v.user_id = q.user_id and v.quota_period = q.period_started_at) r
          on true
        where q.user_id > :after and q.user_id <= :upto
          -- Of a month that is over, videos may have been pruned before anybody begins the next.
          and q.reset_at > now()
          and (q.videos_created <> r.videos or q.cost_used <> r.cost)""",
}
OF_LEASES: Mapping[str, str] = {
    "no lease of an attempt or a delivery outlives its holder": """
        select video_id, format('lease of attempt %s ran out at %s', n, lease_until) from attempts
        where lease_token is not null and lease_until < now() - interval '1 hour'
        union all
        select coalesce(video_id, message_id), format('lease of delivery %s ran out at %s', id,
          lease_until) from deliveries
        where lease_token is not null and lease_until < now() - interval '1 hour'""",
}
_VIDEOS = "select max(id) from (select id from videos where id > :after order by id limit :size) p"
_USERS = (
    "select max(user_id) from (select user_id from user_quotas where user_id > :after "
    "order by user_id limit :size) p"
)


def broken(connection: Connection, *, limit: int = 20) -> list[tuple[str, str, str]]:
    """What breaks a rule, as (rule, id, what), at most `limit` each.

    Each page of a rule is one statement and sees one moment; no statement is long.
    """
    found = []
    for rule, query in OF_USERS.items():
        walk = _walk(connection, rule, query, _USERS, USERS_A_PAGE)
        found += list(islice(walk, limit))
    for rule, query in OF_VIDEOS.items():
        walk = _walk(connection, rule, query, _VIDEOS, VIDEOS_A_PAGE)
        found += list(islice(walk, limit))
    for rule, query in OF_LEASES.items():
        found += [(rule, *row) for row in islice(connection.execute(text(query)), limit)]
    return found


def _walk(
    connection: Connection, rule: str, query: str, pages: str, size: int
) -> Iterator[tuple[str, str, str]]:
    after = ""
    while True:
        upto = connection.scalar(text(pages), {"after": after, "size": size})
        if upto is None:
            return
        for row in connection.execute(text(query), {"after": after, "upto": upto}):
            yield rule, row[0], row[1]
        after = upto


OPEN = """
select (select count(*) from videos where finished_at is null) as videos,
       (select count(*) from attempts where ended_at is null) as attempts,
       (select count(*) from videos where due_at is not null
            and (status = 'in_progress' or admitted_at is not null) and lease_token is not null)
         + (select count(*) from attempts where lease_token is not null)
         + (select count(*) from deliveries where lease_token is not null) as leases,
       (select count(*) from deliveries where state = 'pending') as deliveries
"""


def still_open(connection: Connection) -> dict[str, int]:
    """How much is not over yet: `videos`, `attempts`, `leases`, `deliveries`."""
    return dict(connection.execute(text(OPEN)).one()._mapping)


class Content(NamedTuple):
    """The bytes that a completed video should have: where, how many, and their hash (hex)."""

    video_id: str
    key: str
    size: int
    sha256: str


_OWED = "status = 'completed' and purged_at is null and (expires_at is null or expires_at > now())"


def contents(connection: Connection, *, after: str, limit: int) -> list[Content]:
    """Completed videos whose bytes should be there, by id, behind `after`. What has expired may be
    on its way out.
    """
    rows = connection.execute(
        text(
            f"select id, content_key, content_bytes, content_sha256 from videos where {_OWED} "
            "and id > :after order by id limit :limit"
        ),
        {"after": after, "limit": limit},
    )
    return [Content(*row) for row in rows]


def owed(connection: Connection, video_id: str) -> bool:
    """Whether this video should have its bytes now."""
    return bool(
        connection.scalar(
            text(f"select exists (select 1 from videos where {_OWED} and id = :id)"),
            {"id": video_id},
        )
    )
