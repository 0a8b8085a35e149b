"""For load balancers and supervisors."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers
from api.contract import Access, contract
from api.current import context
from api.replies import reply
from orchestrator import readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@contract("Whether the process lives", tag="health", access=Access.PUBLIC, answer=answers.Health)
def alive() -> Response:
    """Asks nobody else."""
    return reply({"status": "ok"})


@blueprint.get("/readyz")
@contract(
    "Whether requests can be served",
    tag="health",
    access=Access.PUBLIC,
    answer=answers.Readiness,
    also=(503,),
)
def ready() -> Response:
    """Needs PostgreSQL with a current schema; Redis is told of but not needed."""
    checks = readiness.checks(context())
    status = "ready" if readiness.sufficient(checks) else "unavailable"
    return reply({"status": status, "checks": checks}, 200 if status == "ready" else 503)
