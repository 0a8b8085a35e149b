"""Users, for admins."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response
from pydantic import Field

from api.answers import Answer, Quota
from api.bodies import query
from api.contract import Access, contract
from api.current import caller, context
from api.fields import UserId
from api.replies import page_of, reply
from api.schemas import Limit
from orchestrator import erasure, quotas, views

blueprint = Blueprint("users", __name__, url_prefix="/api/admin/users")


class ErasedUser(Answer):
    """What went, and what could not."""

    complete: bool = Field(description="Nothing is left here; else send the request again.")
    keys: int
    videos: int
    at_provider: int = Field(
        description="Videos that a provider has taken; it keeps them for as long as it pleases."
    )


class ListUsers(Limit):
    """Which users."""

    after: UserId | None = Field(None, description="Only what comes behind this user.")


class QuotaPage(Answer):
    """Some users; `next_cursor` goes into `after`."""

    data: list[Quota]
    next_cursor: str | None


@blueprint.get("")
@contract(
    "Users and their quotas",
    tag="admin",
    access=Access.ADMIN,
    query=ListUsers,
    answer=QuotaPage,
    gives=("Link",),
)
def page() -> Response:
    """Everybody who was seen here, by name. `next_cursor` goes into `after`."""
    asked = query(ListUsers)
    found = quotas.page(context(), after=asked.after, limit=asked.limit + 1)
    return page_of(
        found, asked.limit, views.quota, parameter="after", cursor=lambda one: one.user_id
    )


@blueprint.delete("/<path:user_id>")
@contract(
    "Erase all data of a user",
    tag="admin",
    access=Access.ADMIN,
    answer=ErasedUser,
    errors=("storage_error",),
)
def erase(user_id: str) -> Response:
    """Keys, prompts, files, histories and receivers go; of each video stays what it was and cost,
    under a name that means nobody. At most 500 videos at a time.
    """
    return reply(asdict(erasure.erase(context(), user_id, by=caller())))
