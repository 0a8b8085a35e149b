"""What operators look at: the cache, and the work that is not done yet."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers, schemas
from api.bodies import query
from api.contract import Access, contract
from api.current import context
from api.replies import reply
from orchestrator import videos, views

blueprint = Blueprint("admin", __name__, url_prefix="/api/admin")


@blueprint.get("/cache")
@contract("How the cache does", tag="admin", access=Access.ADMIN, answer=answers.Cache)
def cache() -> Response:
    """`connected` is false when Redis is away; everything works without it."""
    return reply(context().cache.stats())


@blueprint.delete("/cache")
@contract("Empty the cache of videos", tag="admin", access=Access.ADMIN, answer=answers.Cleared)
def clear() -> Response:
    """Costs time, never truth."""
    return reply({"removed": context().cache.clear_videos()})


@blueprint.get("/pending")
@contract(
    "Videos that are not finished, oldest first",
    tag="admin",
    access=Access.ADMIN,
    query=schemas.Limit,
    answer=answers.Videos,
)
def pending() -> Response:
    """Of all users."""
    found = videos.pending(context(), limit=query(schemas.Limit).limit)
    return reply({"data": [views.video(video) for video in found]})
