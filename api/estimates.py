"""`/api/estimate`: what a video would cost."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers, schemas
from api.bodies import json_body
from api.contract import contract
from api.current import caller, context
from api.replies import reply
from orchestrator import estimates, views

blueprint = Blueprint("estimates", __name__, url_prefix="/api")


@blueprint.post("/estimate")
@contract(
    "What a video would cost, without asking for it",
    tag="quota",
    body=schemas.CreateVideo,
    answer=answers.Estimate,
)
def create() -> Response:
    """Takes what `POST /api/videos` takes, refuses what that refuses, and reserves nothing."""
    request = json_body(schemas.CreateVideo).request()
    found = estimates.estimate(context(), caller(), request)
    shape, quota = found.shape, found.quota
    return reply(
        {
            "object": "estimate",
            "model": shape.model,
            "seconds": shape.seconds,
            "size": shape.size,
            "cost": views.money(shape.cost),
            "allowed": found.allowed,
            "remaining": quota.remaining,
            "cost_used": views.money(quota.cost_used),
            "cost_limit": views.money(quota.cost_limit),
        }
    )
