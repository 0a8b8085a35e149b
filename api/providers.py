"""Providers, for operators: what they do, and whether they are paused."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import operations
from api.bodies import json_body
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from orchestrator import pauses
from orchestrator.pauses import Overview
from orchestrator.views import rfc3339

blueprint = Blueprint("providers", __name__, url_prefix="/api/admin/providers")


@blueprint.get("")
@contract(
    "What the providers do", tag="admin", access=Access.ADMIN, answer=operations.ProviderOverviews
)
def page() -> Response:
    """Slots in use, pauses and their reasons, and what was seen that nobody here asked for."""
    return reply({"data": [_shown(found) for found in pauses.overview(context())]})


@blueprint.post("/<name>/pause")
@contract(
    "Submit nothing more to a provider",
    tag="admin",
    access=Access.ADMIN,
    body=operations.Pause,
    answer=operations.ProviderOverviews,
)
def pause(name: str) -> Response:
    """Until it is resumed. Videos that it works on are still followed to their end."""
    reason = json_body(operations.Pause).reason
    pauses.pause(context(), name, reason=reason, by=caller())
    return page()


@blueprint.post("/<name>/resume")
@contract(
    "Submit to a provider again",
    tag="admin",
    access=Access.ADMIN,
    answer=operations.ProviderOverviews,
)
def resume(name: str) -> Response:
    """Lifts a pause, whoever made it."""
    pauses.resume(context(), name, by=caller())
    return page()


def _shown(found: Overview) -> dict[str, Any]:
    provider = found.provider
    return {
        "name": provider.name,
        "profile": provider.profile.name,
        "account": provider.account,
        "max_in_flight": provider.max_in_flight,
        "rpm": provider.rpm,
        "in_flight": found.in_flight,
        "admitted": found.admitted,
        "paused": found.paused_until is not None,
        "paused_until": None if found.for_good else rfc3339(found.paused_until),
        "pause_reason": found.pause_reason,
        "unclaimed": found.unclaimed,
        "duplicates": found.duplicates,
    }
