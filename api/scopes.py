"""Whose data a list or a sum is about."""

from __future__ import annotations

from dataclasses import replace

from api.current import caller
from orchestrator.errors import Forbidden
from orchestrator.records import Caller


def owner(scope: str, user_id: str | None = None) -> str | None:
    """The user whose data are meant; None: everybody's. `user_id`: this one's, whatever the scope.

    Raises:
        Forbidden: others' data are meant, and the caller is no admin.
    """
    if scope == "all" and user_id is None:
        if not caller().admin:
            raise Forbidden("scope=all is for admins.")
        return None
    return reader(user_id).user_id


def reader(user_id: str | None) -> Caller:
    """Who a list is read as: the caller, or an admin in the place of this user.

    Raises:
        Forbidden: it is somebody else, and the caller is no admin.
    """
    found = caller()
    if user_id is None or user_id == found.user_id:
        return found
    if not found.admin:
        raise Forbidden("user_id is for admins.")
    return replace(found, user_id=user_id)
