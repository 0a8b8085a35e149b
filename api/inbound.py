"""`/webhooks/{provider}`: where providers tell us that something has happened."""

from __future__ import annotations

from flask import Blueprint, Response, request

from api.bodies import JSON_BYTES
from api.contract import Access, contract
from api.current import context
from api.replies import reply
from api.subscriptions import Received
from orchestrator import receipts

blueprint = Blueprint("inbound", __name__, url_prefix="/webhooks")


@blueprint.post("/<provider>")
@contract(
    "Take a webhook of a provider",
    tag="webhooks",
    access=Access.PUBLIC,
    answer=Received,
    errors=(
        *("bad_signature", "request_too_large", "request_timeout", "too_many_uploads"),
        *("dependency_busy", "dependency_down", "commit_unknown"),
    ),
)
def receive(provider: str) -> Response:
    """Signed as Standard Webhooks lays down, with the secret that we have for the provider. It lets
    us look at the video sooner; what it says is not believed.
    """
    request.max_content_length = JSON_BYTES
    headers = {name.lower(): value for name, value in request.headers.items()}
    receipts.receive(context(), provider, headers, request.get_data(cache=False))
    return reply({"received": True})
