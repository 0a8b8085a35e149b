"""What happened: to one video and its kin, or to all of a user's."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import Blueprint, Response
from pydantic import Field

from api import answers, schemas
from api.answers import Answer
from api.bodies import query
from api.contract import contract
from api.current import caller, context
from api.replies import page_of, reply
from api.scopes import owner
from orchestrator import events, views
from orchestrator.lifecycle import AttemptState

blueprint = Blueprint("events", __name__, url_prefix="/api")


class Attempt(Answer):
    """One submission to a provider. `detached`: its video has moved on; it is watched to its end
    for what it costs.
    """

    object: Literal["attempt"]
    n: int
    provider: str
    state: AttemptState
    detached: bool
    sent_at: datetime
    accepted_at: datetime | None
    unknown_at: datetime | None
    ended_at: datetime | None
    looks: int = Field(description="How often the provider's list was searched for it.")
    http_status: int | None = Field(description="The provider's last answer to it.")
    cost: float | None


class Attempts(Answer):
    """All submissions of a video."""

    data: list[Attempt]


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


@blueprint.get("/videos/<video_id>/attempts")
@contract("How a video was submitted", tag="events", answer=Attempts)
def attempts(video_id: str) -> Response:
    """One entry for each submission to a provider, in order; most videos have one."""
    found = events.attempts(context(), caller(), video_id)
    return reply({"data": [views.attempt(attempt) for attempt in found]})


@blueprint.get("/videos/<video_id>/family")
@contract("All versions of a video", tag="events", answer=answers.Videos)
def family(video_id: str) -> Response:
    """What it was made from, and what was made from those: remixes, edits, extensions and retries,
    oldest first, at most 200.
    """
    found = events.family(context(), caller(), video_id)
    return reply({"data": [views.video(video) for video in found]})


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
        context(),
        owner(asked.scope, asked.user_id),
        types=asked.types,
        before=asked.before,
        limit=asked.limit + 1,
    )
    return page_of(found, asked.limit, views.event, parameter="before", cursor=lambda one: one.id)
