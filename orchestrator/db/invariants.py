"""What must hold between the rows at any moment, as queries for what breaks it. Reads all tables:
for operators and tests, not for loops.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

# Each query lists what is wrong as (id, what). Written so that a running system is never reported:
# everything here changes within one transaction.
RULES: dict[str, str] = {
    "quota equals the rows": """
        select q.user_id, format('videos_created %s, rows say %s; cost_used %s, rows say %s',
          q.videos_created, coalesce(r.videos, 0), q.cost_used, coalesce(r.cost, 0))
        from user_quotas q left join (
          select user_id, quota_period, count(*) filter (where quota_state <> 'released') as videos,
            sum(case quota_state when 'reserved' then cost_estimated else cost_actual end) as cost
          from videos group by user_id, quota_period) r
          on r.user_id = q.user_id and r.quota_period = q.period_started_at
        where q.videos_created <> coalesce(r.videos, 0) or q.cost_used <> coalesce(r.cost, 0)""",
    "events are numbered without gaps": """
        select v.id, format('seq %s, events %s, last %s', v.seq, count(e.seq), max(e.seq))
        from videos v left join video_events e on e.video_id = v.id and e.seq is not null
        group by v.id having (count(e.seq) = 0 and v.finished_at is null)
          -- The oldest may have been pruned after their retention.
          or v.seq <> max(e.seq) or count(e.seq) <> max(e.seq) - min(e.seq) + 1""",
    "an ended video is settled, or its attempt is watched": """
        select v.id, format('%s and still reserved', v.status) from videos v
        where v.finished_at is not null and v.quota_state = 'reserved'
          and not exists (select 1 from attempts a where a.video_id = v.id and a.ended_at is
            null)""",
    "completed videos are charged once": """
        select v.id, format('cost_actual %s, attempts %s', v.cost_actual, coalesce(sum(a.cost), 0))
        from videos v left join attempts a on a.video_id = v.id
        group by v.id having v.cost_actual <> coalesce(sum(a.cost), 0)""",
    "content belongs to its video": """
        select v.id, v.content_key from videos v
        where v.content_key is not null
          and v.content_key not like 'videos/' || v.id || '/' || v.content_sha256 || '.%'""",
    "an ended video has no attempt of its own": """
        select v.id, format('%s, attempt %s is %s', v.status, a.n, a.state)
        from attempts a join videos v on v.id = a.video_id
        where a.ended_at is null and not a.detached and v.finished_at is not null""",
    "a running video has the attempt that it runs by": """
        select v.id, v.step from videos v
        where v.status = 'in_progress' and not exists (select 1 from attempts a
          where a.video_id = v.id and a.state = 'accepted' and not a.detached)""",
    "what is live is due, asked about or held": """
        select v.id, format('%s without a due time', v.step) from videos v
        where v.step is not null and v.due_at is null and v.hold_reason is null
          and not exists (select 1 from attempts a where a.video_id = v.id and a.ended_at is
            null)""",
    "an attempt that is watched is due": """
        select a.video_id, format('attempt %s is %s and not due', a.n, a.state)
        from attempts a join videos v on v.id = a.video_id
        where a.ended_at is null and a.detached and a.state <> 'sent' and a.due_at is null""",
    "no lease outlives its holder": """
        select id, format('lease ran out at %s', lease_until) from videos
        where lease_until < now() - interval '5 minutes'
        union all
        select video_id, format('lease of attempt %s ran out at %s', n, lease_until) from attempts
        where lease_until < now() - interval '5 minutes'""",
}


def broken(connection: Connection, *, limit: int = 20) -> list[tuple[str, str, str]]:
    """What breaks a rule, as (rule, id, what), at most `limit` each."""
    found = []
    for rule, query in RULES.items():
        rows = connection.execute(text(f"{query} limit :limit"), {"limit": limit})
        found += [(rule, row[0], row[1]) for row in rows]
    return found


OPEN = """
select (select count(*) from videos where finished_at is null) as videos,
       (select count(*) from attempts where ended_at is null) as attempts,
       (select count(*) from videos where lease_token is not null) as leases
"""


def still_open(connection: Connection) -> dict[str, int]:
    """How much is not over yet: `videos`, `attempts`, `leases`."""
    return dict(connection.execute(text(OPEN)).one()._mapping)


def contents(connection: Connection, *, after: str, limit: int) -> list[tuple[str, str, int]]:
    """Completed videos whose bytes should be there, as (id, key, bytes), by id, behind `after`."""
    rows = connection.execute(
        text(
            "select id, content_key, content_bytes from videos where status = 'completed' "
            "and purged_at is null and id > :after order by id limit :limit"
        ),
        {"after": after, "limit": limit},
    )
    return [(row[0], row[1], row[2]) for row in rows]
