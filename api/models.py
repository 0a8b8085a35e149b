"""What can be asked for."""

from __future__ import annotations

from flask import Blueprint, Response

from api import answers
from api.contract import contract
from api.current import context
from api.replies import reply

blueprint = Blueprint("models", __name__, url_prefix="/api")


@blueprint.get("/models")
@contract("The models and what each allows", tag="models", answer=answers.Models)
def page() -> Response:
    """Lengths, sizes, prices and abilities, as the provider of each model has them."""
    catalog = context().catalog
    return reply({"data": [catalog.describe(name) for name in catalog.models]})
