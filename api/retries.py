"""Bulk retries, for operators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import operations
from api.bodies import json_body
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from orchestrator import retries, views
from orchestrator.retries import Retried

blueprint = Blueprint("retries", __name__, url_prefix="/api/admin/retries")


@blueprint.post("")
@contract(
    "Retry failed videos in bulk",
    tag="admin",
    access=Access.ADMIN,
    body=operations.RetryVideos,
    answer=operations.RetriedVideos,
    status=202,
)
def create() -> Response:
    """Newest first, on their owners' quotas. What moderation refused is left out, and what was
    retried before.
    """
    body = json_body(operations.RetryVideos)
    found = retries.retry_all(
        context(), body.filters(), user_id=body.user_id, limit=body.limit, by=caller()
    )
    return reply({"data": [_shown(one) for one in found]}, 202)


def _shown(one: Retried) -> dict[str, Any]:
    return {
        "source_id": one.source.id,
        "video": None if one.video is None else views.video(one.video),
        "error": None
        if one.error is None
        else {"code": one.error.code, "message": one.error.message},
    }
