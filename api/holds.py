"""Held videos, for operators: look at them, and decide."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import answers, operations, schemas
from api.bodies import json_body, query
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from orchestrator import holds, views
from orchestrator.holds import Held
from orchestrator.views import rfc3339

blueprint = Blueprint("holds", __name__, url_prefix="/api/admin/held")


@blueprint.get("")
@contract(
    "Videos that wait for an operator, oldest first",
    tag="admin",
    access=Access.ADMIN,
    query=schemas.Limit,
    answer=operations.HeldVideos,
)
def page() -> Response:
    """Nobody knows whether the provider took them, and no list can tell."""
    found = holds.held(context(), limit=query(schemas.Limit).limit)
    return reply({"data": [_shown(held) for held in found]})


@blueprint.post("/<video_id>")
@contract(
    "Decide about a held video",
    tag="admin",
    access=Access.ADMIN,
    body=operations.Decision,
    answer=answers.Video,
    errors=("not_held", "id_taken", "provider_gone"),
)
def resolve(video_id: str) -> Response:
    """`adopt` the provider's video with that id, `retry` the submission, or `fail` the video."""
    body = json_body(operations.Decision)
    found = holds.resolve(
        context(),
        video_id,
        body.decision,
        provider_video_id=body.provider_video_id,
        by=caller(),
    )
    return reply(views.video(found))


def _shown(held: Held) -> dict[str, Any]:
    attempt = held.attempt
    shown = {
        "n": attempt.n,
        "provider": attempt.provider,
        "account": attempt.account,
        "sent_at": rfc3339(attempt.sent_at),
        "unknown_at": rfc3339(attempt.unknown_at),
        "looks": attempt.looks,
        "http_status": attempt.http_status,
        "error": attempt.error,
    }
    return {**views.video(held.video), "attempt": shown}
