"""Moving waiting videos from one provider to another."""

from __future__ import annotations

from sqlalchemy import Connection, text

from orchestrator.db.rows import VIDEO, to_videos, video_query
from orchestrator.records import Video


def movable(
    connection: Connection, provider: str, account: str, model: str, *, limit: int
) -> list[Video]:
    """Videos in the backlog of an account that may go elsewhere, locked: creates that nobody can
    have accepted.
    """
    rows = connection.execute(
        video_query(
            f"""
            select {VIDEO} from videos v where v.provider = :provider and v.account = :account
              and v.status = 'queued' and v.admitted_at is null and v.model = :model and v.kind =
                'create'
              and (select bool_or(a.unknown_at is not null or a.ended_at is null)
                from attempts a where a.video_id = v.id) is not true
            order by v.rank_at, v.id limit :limit for update of v skip locked
            """
        ),
        {"provider": provider, "account": account, "model": model, "limit": limit},
    )
    return to_videos(rows)


def move(connection: Connection, video_id: str, provider: str, account: str) -> None:
    """Let a video that waits in the backlog wait at another account."""
    connection.execute(
        text(
            "update videos set provider = :provider, account = :account "
            "where id = :id and status = 'queued' and admitted_at is null"
        ),
        {"id": video_id, "provider": provider, "account": account},
    )
