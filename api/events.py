"""What happened: to one video, or to all of a user's."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers, schemas
from api.bodies import query
from api.contract import contract
from api.current import caller, context
from api.replies import listing, reply
from api.scopes import owner
from orchestrator import events, views

blueprint = Blueprint("events", __name__, url_prefix="/api")


@blueprint.get("/videos/<video_id>/events")
@contract(
    "The history of a video, oldest first",
    tag="events",
    query=schemas.VideoHistory,
    answer=answers.Events,
)
def history(video_id: str) -> Response:
    """Each change of its state, in the order in which they happened."""
    asked = query(schemas.VideoHistory)
    found = events.history(context(), caller(), video_id, after=asked.after, limit=asked.limit)
    return reply({"data": [views.event(event) for event in found]})


@blueprint.get("/events")
@contract(
    "Recent events of your videos, newest first",
    tag="events",
    query=schemas.RecentEvents,
    answer=answers.EventPage,
    gives=("Link",),
)
def recent() -> Response:
    """`next_cursor` goes into `before`."""
    asked = query(schemas.RecentEvents)
    found = events.recent(
        context(), owner(asked.scope), types=asked.types, before=asked.before, limit=asked.limit + 1
    )
    page = found[: asked.limit]
    following = str(page[-1].id) if len(found) > asked.limit else None
    return listing([views.event(event) for event in page], following, parameter="before")
