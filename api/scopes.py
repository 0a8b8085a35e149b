"""Whose data a list or a sum is about."""

from __future__ import annotations

from api.current import caller
from orchestrator.errors import Forbidden


def owner(scope: str) -> str | None:
    """The user whose data are meant; None: everybody's.

    Raises:
        Forbidden: `all`, and the caller is no admin.
    """
    if scope == "all":
        if not caller().admin:
            raise Forbidden("scope=all is for admins.")
        return None
    return caller().user_id
