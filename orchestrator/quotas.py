"""What a user may have: read, check, change. Reserving and settling happen where videos begin and
end.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.accounts import check_user_id
from orchestrator.context import Context
from orchestrator.db import audit
from orchestrator.db import quotas as rows
from orchestrator.db.audit import Action
from orchestrator.records import Caller, Quota


def get(ctx: Context, user_id: str) -> Quota:
    """The quota of a user as of now; a new user gets the defaults.

    Raises:
        InvalidRequest: that cannot be a user's id.
    """
    check_user_id(user_id)
    with ctx.database.statement() as connection:
        return rows.ensure(connection, user_id)


def page(ctx: Context, *, after: str | None, limit: int) -> list[Quota]:
    """The quotas of all users that were seen here, by their ids, behind the user `after`."""
    with ctx.database.statement() as connection:
        return rows.page(connection, after=after, limit=limit)


def allows(quota: Quota, cost: Decimal = Decimal(0), videos: int = 1) -> bool:
    """Whether so many more videos at that cost (US dollars, together) would fit;
    reserves nothing.
    """
    affordable = quota.cost_limit is None or quota.cost_used + cost <= quota.cost_limit
    return quota.remaining >= videos and affordable


def change(
    ctx: Context, user_id: str, limits: Mapping[str, Any], *, by: Caller | None = None
) -> Quota:
    """Set limits of a user (videos_limit, cost_limit, max_in_flight, weight); a new user gets the
    rest by default. `by`: who says so; None: somebody at the command line.

    Raises:
        InvalidRequest: that cannot be a user's id.
    """
    check_user_id(user_id)
    with ctx.database.transaction() as connection:
        audit.write(connection, by, Action.QUOTA_CHANGED, user_id, limits)
        return rows.change(connection, user_id, limits)


def reset(ctx: Context, user_id: str, *, by: Caller | None = None) -> Quota:
    """Start a user's month anew, now. `by`: as for `change`.

    Raises:
        InvalidRequest: that cannot be a user's id.
    """
    check_user_id(user_id)
    with ctx.database.transaction() as connection:
        audit.write(connection, by, Action.QUOTA_RESET, user_id)
        return rows.reset(connection, user_id)
