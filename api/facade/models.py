"""`/v1/models`, as the openai SDK and other clients speak it."""

from __future__ import annotations

from flask import Blueprint, Response

from api.contract import contract
from api.current import context
from api.facade import objects
from api.replies import reply
from orchestrator.errors import NotFound

blueprint = Blueprint("openai_models", __name__, url_prefix="/v1/models")


@blueprint.get("")
@contract("List the models", tag="openai", facade=True, answer=objects.OpenAIModels)
def page() -> Response:
    """Each by the name that requests give; `GET /api/models` tells what it can do."""
    catalog = context().catalog
    data = [objects.model(name, catalog.route(name).name) for name in catalog.models]
    return reply({"object": "list", "data": data})


@blueprint.get("/<path:model>")
@contract(
    "Look at a model",
    tag="openai",
    facade=True,
    answer=objects.OpenAIModel,
    errors=("model_not_found",),
)
def show(model: str) -> Response:
    """Its name may hold slashes."""
    catalog = context().catalog
    if model not in catalog.models:
        raise NotFound(
            f"The model {model!r} does not exist.", param="model", code="model_not_found"
        )
    return reply(objects.model(model, catalog.route(model).name))
