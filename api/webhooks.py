"""`/api/webhooks`: whom to tell of what happens, and how the telling went."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import subscriptions as models
from api.auth import ANONYMOUS_USER
from api.bodies import json_body, query
from api.contract import contract
from api.current import caller, context
from api.replies import page_of, reply
from orchestrator import delivery_log, endpoints, views
from orchestrator.errors import Forbidden, NotFound
from orchestrator.records import Caller, Endpoint

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/webhooks")

_MAX_ID = 2**63 - 1


@blueprint.get("/endpoints")
@contract("List your webhook endpoints", tag="webhooks", answer=models.WebhookEndpoints)
def page() -> Response:
    """Oldest first, without their secrets."""
    found = endpoints.of_user(context(), _somebody())
    return reply({"data": [views.endpoint(one.endpoint, one.failing_since) for one in found]})


@blueprint.post("/endpoints")
@contract(
    "Make a webhook endpoint",
    tag="webhooks",
    body=models.CreateEndpoint,
    answer=models.NewWebhookEndpoint,
    status=201,
    makes="endpoint_id",
    gives=("Location",),
    errors=("too_many_endpoints",),
)
def create() -> Response:
    """`secret` signs what it is told; it is shown here and when it is rotated."""
    body = json_body(models.CreateEndpoint)
    made = endpoints.create(
        context(), _somebody(), body.url, events=body.events, description=body.description
    )
    location = {"Location": f"/api/webhooks/endpoints/{made.id}"}
    return reply(_shown(made) | {"secret": made.secret}, 201, location)


@blueprint.get("/endpoints/<endpoint_id>")
@contract("Look at a webhook endpoint", tag="webhooks", answer=models.WebhookEndpoint)
def show(endpoint_id: str) -> Response:
    """How it does, too."""
    return reply(_shown(endpoints.load(context(), _somebody(), endpoint_id)))


@blueprint.patch("/endpoints/<endpoint_id>")
@contract(
    "Change a webhook endpoint, or switch it off or on",
    tag="webhooks",
    body=models.ChangeEndpoint,
    answer=models.WebhookEndpoint,
)
def change(endpoint_id: str) -> Response:
    """What happens while it is off is told by a replay only."""
    body = json_body(models.ChangeEndpoint)
    changed = endpoints.change(
        context(), _somebody(), endpoint_id, body.values(), disabled=body.disabled
    )
    return reply(_shown(changed))


@blueprint.delete("/endpoints/<endpoint_id>")
@contract("Remove a webhook endpoint", tag="webhooks", answer=models.WebhookEndpoint)
def delete(endpoint_id: str) -> Response:
    """What waits for it goes, too; so does its log."""
    return reply(views.endpoint(endpoints.delete(context(), _somebody(), endpoint_id), None))


@blueprint.post("/endpoints/<endpoint_id>/rotate")
@contract(
    "Rotate the secret of a webhook endpoint",
    tag="webhooks",
    body=models.RotateSecret,
    answer=models.NewWebhookEndpoint,
)
def rotate(endpoint_id: str) -> Response:
    """Until the overlap ends every message is signed twice: by the new secret and by the old."""
    hours = json_body(models.RotateSecret).overlap_hours
    changed = endpoints.rotate(context(), _somebody(), endpoint_id, hours=hours)
    return reply(_shown(changed) | {"secret": changed.secret})


@blueprint.post("/endpoints/<endpoint_id>/ping")
@contract(
    "Send a test message",
    tag="webhooks",
    answer=models.WebhookDelivery,
    status=202,
    makes="delivery_id",
    errors=("endpoint_disabled",),
)
def ping(endpoint_id: str) -> Response:
    """Its type is `endpoint.ping`; the answer is the delivery to watch."""
    return reply(views.delivery(delivery_log.ping(context(), _somebody(), endpoint_id)), 202)


@blueprint.post("/endpoints/<endpoint_id>/replay")
@contract(
    "Tell an endpoint again of what happened",
    tag="webhooks",
    body=models.Replay,
    answer=models.Replayed,
    status=202,
    errors=("endpoint_disabled",),
)
def replay(endpoint_id: str) -> Response:
    """Every event of its types in that time, told before or not, with its old `webhook-id`."""
    body = json_body(models.Replay)
    queued = delivery_log.replay(
        context(), _somebody(), endpoint_id, since=body.since, until=body.until
    )
    return reply({"queued": queued}, 202)


@blueprint.get("/secret")
@contract(
    "The secret of single videos' webhooks",
    tag="webhooks",
    answer=models.WebhookSecret,
    needs="write",
)
def secret() -> Response:
    """Signs what goes to the `webhook_url` of your videos; made when it is first asked for."""
    return reply(views.signer(endpoints.signer(context(), _somebody().user_id)))


@blueprint.post("/secret/rotate")
@contract(
    "Rotate the secret of single videos' webhooks",
    tag="webhooks",
    body=models.RotateSecret,
    answer=models.WebhookSecret,
)
def rotate_secret() -> Response:
    """As for an endpoint."""
    hours = json_body(models.RotateSecret).overlap_hours
    return reply(views.signer(endpoints.rotate_signer(context(), _somebody(), hours=hours)))


@blueprint.get("/deliveries")
@contract(
    "List your webhook deliveries, newest first",
    tag="webhooks",
    query=models.ListDeliveries,
    answer=models.WebhookDeliveries,
    gives=("Link",),
)
def log() -> Response:
    """Kept for 30 days. `next_cursor` goes into `before`."""
    asked = query(models.ListDeliveries)
    found = delivery_log.page(
        context(), _somebody().user_id, asked.filters(), before=asked.before, limit=asked.limit + 1
    )
    return page_of(
        found, asked.limit, views.delivery, parameter="before", cursor=lambda one: one.id
    )


@blueprint.get("/deliveries/<delivery_id>")
@contract("Look at a webhook delivery", tag="webhooks", answer=models.WebhookDelivery)
def show_delivery(delivery_id: str) -> Response:
    """What was tried, and what the receiver said."""
    found = delivery_log.load(context(), _somebody(), _number(delivery_id))
    return reply(views.delivery(found))


@blueprint.post("/deliveries/<delivery_id>/resend")
@contract(
    "Send a webhook again",
    tag="webhooks",
    answer=models.WebhookDelivery,
    status=202,
    errors=("endpoint_disabled",),
)
def resend(delivery_id: str) -> Response:
    """From the beginning of its schedule, with the same `webhook-id`."""
    sent = delivery_log.resend(context(), _somebody(), _number(delivery_id))
    return reply(views.delivery(sent), 202)


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return views.endpoint(endpoint, endpoints.health(context(), endpoint).failing_since)


def _somebody() -> Caller:
    """The caller, if it is one person: what anonymous users share would tell each of all."""
    if caller().user_id == ANONYMOUS_USER:
        raise Forbidden("Webhooks need a user of one's own.")
    return caller()


def _number(text: str) -> int:
    """The number of a delivery. Raises NotFound for what can be none."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    if not 0 < number <= _MAX_ID:
        raise NotFound("There is no such delivery.")
    return number
