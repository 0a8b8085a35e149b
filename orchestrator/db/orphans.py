"""What is left at accounts that are configured no longer."""

from __future__ import annotations

from sqlalchemy import Connection, text

from orchestrator.db.rows import ATTEMPT, VIDEO, pair_query, to_pairs
from orchestrator.records import Attempt, Video


def accounts(connection: Connection) -> list[tuple[str, str]]:
    """The (provider, account) pairs that have open attempts: a skip scan."""
    rows = connection.execute(
        text(
            """
            with recursive t as (
              (select provider, account from attempts where ended_at is null
               order by provider, account limit 1)
              union all
              select n.* from t cross join lateral (
                select a.provider, a.account from attempts a where a.ended_at is null
                  and (a.provider, a.account) > (t.provider, t.account)
                order by a.provider, a.account limit 1) n)
            select provider, account from t
            """
        )
    )
    return [(row[0], row[1]) for row in rows]


def due(
    connection: Connection, provider: str, account: str, *, patience: float, limit: int
) -> list[tuple[Video, Attempt]]:
    """Open attempts of an account that nobody can ask: unknown ones whose video has not been held,
    and those of which nothing more is to be expected, `patience` seconds after they were sent or,
    of a video that is being made, after its deadline.
    """
    rows = connection.execute(
        pair_query(
            f"""
            select {VIDEO}, {ATTEMPT} from attempts a join videos v on v.id = a.video_id
            where a.provider = :provider and a.account = :account and a.ended_at is null
              and case when a.detached then a.state <> 'sent'
                  and a.sent_at < now() - make_interval(secs => :patience)
                when a.state = 'unknown' then v.hold_reason is null
                else v.step = 'poll'
                  and v.deadline_at < now() - make_interval(secs => :patience) end
            order by a.sent_at limit :limit
            """
        ),
        {"provider": provider, "account": account, "patience": patience, "limit": limit},
    )
    return to_pairs(rows)


def live(connection: Connection) -> dict[tuple[str, str], int]:
    """How many unfinished videos there are, by (provider, account)."""
    rows = connection.execute(
        text(
            "select provider, account, count(*) from videos where finished_at is null "
            "group by provider, account"
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}
