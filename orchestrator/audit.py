"""The audit trail: who did what with the rights of an admin, and what the orchestrator itself
decided over somebody's things.
"""

from __future__ import annotations

from orchestrator.context import Context
from orchestrator.db import audit as rows
from orchestrator.db.audit import Action as Action
from orchestrator.db.engine import Connection
from orchestrator.records import Act, Caller, Delivery, Endpoint, Video


def page(
    ctx: Context,
    *,
    user_id: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Act]:
    """Acts, newest first, older than the one with the id `before`: all, or those of a user, of one
    kind, on one subject.
    """
    filters = {"user_id": user_id, "action": action, "subject": subject}
    with ctx.database.statement() as connection:
        return rows.page(connection, filters, before=before, limit=limit)


def foreign(
    connection: Connection, by: Caller, action: Action, thing: Video | Endpoint | Delivery
) -> None:
    """Note what somebody did to a thing, if it is another one's: only an admin can."""
    if by.user_id != thing.user_id:
        rows.write(connection, by, action, str(thing.id), {"user_id": thing.user_id})
