"""What a user may have, has used and has spent."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers, schemas
from api.bodies import json_body, query
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from api.scopes import owner
from orchestrator import quotas, videos, views

blueprint = Blueprint("quotas", __name__, url_prefix="/api")


@blueprint.get("/quota")
@contract("Your quota of this month", tag="quota", answer=answers.Quota)
def mine() -> Response:
    """Resets by itself on the first of the month, UTC."""
    return reply(views.quota(quotas.get(context(), caller().user_id)))


@blueprint.get("/stats")
@contract(
    "How many videos, in which state, for how much",
    tag="quota",
    query=schemas.Scope,
    answer=answers.Stats,
)
def stats() -> Response:
    """Deleted videos count in the spend only."""
    asked = query(schemas.Scope)
    return reply(videos.stats(context(), owner(asked.scope, asked.user_id)))


@blueprint.get("/users/<path:user_id>/quota")
@contract("The quota of a user", tag="admin", access=Access.ADMIN, answer=answers.Quota)
def show(user_id: str) -> Response:
    """A user whom nobody has seen yet gets the defaults."""
    return reply(views.quota(quotas.get(context(), user_id)))


@blueprint.put("/users/<path:user_id>/quota")
@contract(
    "Change the limits of a user",
    tag="admin",
    access=Access.ADMIN,
    body=schemas.QuotaLimits,
    answer=answers.Quota,
)
def change(user_id: str) -> Response:
    """What is not named stays as it is."""
    limits = json_body(schemas.QuotaLimits).limits()
    return reply(views.quota(quotas.change(context(), user_id, limits, by=caller())))


@blueprint.post("/users/<path:user_id>/quota/reset")
@contract("Start the month of a user anew", tag="admin", access=Access.ADMIN, answer=answers.Quota)
def reset(user_id: str) -> Response:
    """What was used so far counts no longer."""
    return reply(views.quota(quotas.reset(context(), user_id, by=caller())))
