"""Users, for admins."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response
from pydantic import Field

from api.answers import Answer
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from orchestrator import erasure

blueprint = Blueprint("users", __name__, url_prefix="/api/admin/users")


class ErasedUser(Answer):
    """What went, and what could not."""

    complete: bool = Field(description="Nothing is left here; else send the request again.")
    keys: int
    videos: int
    at_provider: int = Field(
        description="Videos that a provider has taken; it keeps them for as long as it pleases."
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
