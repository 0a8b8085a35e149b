"""What operators look at: the cache, and the work that is not done yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from api import answers, operations, schemas, subscriptions
from api.bodies import query
from api.contract import Access, contract
from api.current import caller, context
from api.replies import page_of, reply
from orchestrator import audit, delivery_log, events, videos, views
from orchestrator.records import Act
from orchestrator.views import rfc3339

blueprint = Blueprint("admin", __name__, url_prefix="/api/admin")


@blueprint.get("/cache")
@contract("How the cache does", tag="admin", access=Access.ADMIN, answer=answers.Cache)
def cache() -> Response:
    """`connected` is false when Redis is away; everything works without it."""
    return reply(context().cache.stats())


@blueprint.delete("/cache")
@contract("Empty the cache of videos", tag="admin", access=Access.ADMIN, answer=answers.Cleared)
def clear() -> Response:
    """Costs time, never truth."""
    return reply({"removed": videos.clear_cache(context(), by=caller())})


@blueprint.get("/audit")
@contract(
    "What was done with the rights of an admin, newest first",
    tag="admin",
    access=Access.ADMIN,
    query=operations.ListActs,
    answer=operations.ActPage,
    gives=("Link",),
)
def audit_trail() -> Response:
    """Written in the same transaction as the act. `next_cursor` goes into `before`."""
    asked = query(operations.ListActs)
    found = audit.page(
        context(),
        user_id=asked.user_id,
        action=asked.action,
        subject=asked.subject,
        before=asked.before,
        limit=asked.limit + 1,
    )
    return page_of(found, asked.limit, _act, parameter="before", cursor=lambda act: act.id)


@blueprint.get("/queue")
@contract(
    "How much waits, and for how long", tag="admin", access=Access.ADMIN, answer=operations.Queue
)
def queue() -> Response:
    """Of all users."""
    found = videos.queue(context())
    return reply({**asdict(found), "oldest_at": rfc3339(found.oldest_at)})


@blueprint.get("/throughput")
@contract(
    "What was asked for and what ended, minute by minute",
    tag="admin",
    access=Access.ADMIN,
    query=operations.Span,
    answer=operations.Throughput,
)
def throughput() -> Response:
    """Oldest first, quiet minutes too; the last one is not over yet. Of all users."""
    found = events.throughput(context(), minutes=query(operations.Span).minutes)
    return reply({"data": [{**asdict(one), "at": rfc3339(one.at)} for one in found]})


@blueprint.get("/deliveries")
@contract(
    "Webhook deliveries of all users, newest first",
    tag="admin",
    access=Access.ADMIN,
    query=subscriptions.ListDeliveries,
    answer=subscriptions.WebhookDeliveries,
    gives=("Link",),
)
def deliveries() -> Response:
    """Kept for 30 days. `next_cursor` goes into `before`."""
    asked = query(subscriptions.ListDeliveries)
    found = delivery_log.page(
        context(), None, asked.filters(), before=asked.before, limit=asked.limit + 1
    )
    return page_of(
        found, asked.limit, views.delivery, parameter="before", cursor=lambda one: one.id
    )


@blueprint.get("/pending")
@contract(
    "Videos that are not finished, oldest first",
    tag="admin",
    access=Access.ADMIN,
    query=schemas.Limit,
    answer=answers.Videos,
)
def pending() -> Response:
    """Of all users."""
    found = videos.pending(context(), limit=query(schemas.Limit).limit)
    return reply({"data": [views.video(video) for video in found]})


def _act(act: Act) -> dict[str, Any]:
    return {**asdict(act), "created_at": rfc3339(act.created_at)}
