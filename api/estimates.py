"""`/api/estimate`: what a video would cost."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response
from pydantic import Field

from api import schemas
from api.answers import Answer
from api.bodies import json_body
from api.contract import contract
from api.current import caller, context
from api.replies import reply
from orchestrator import estimates, views

blueprint = Blueprint("estimates", __name__, url_prefix="/api")


class Estimate(Answer):
    """What a video would cost (US dollars), and whether the quota allows it now."""

    object: Literal["estimate"]
    model: str
    seconds: str
    size: str
    cost: float = Field(description="What would be reserved for it.")
    allowed: bool
    remaining: int = Field(description="Videos that are left this month.")
    cost_used: float
    cost_limit: float | None


@blueprint.post("/estimate")
@contract(
    "What a video would cost, without asking for it",
    tag="quota",
    body=schemas.CreateVideo,
    answer=Estimate,
    errors=("unknown_model", "unsupported"),
    needs="read",
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
