"""What the outside may see of a row: JSON-ready, the names of the columns, times in RFC 3339 (UTC,
milliseconds).

Never a lease, a token, or anything that the provider said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Any

from pydantic_core import to_json

from orchestrator.lifecycle import Status
from orchestrator.records import Attempt, Delivery, Endpoint, Event, Quota, Video

Json = dict[str, Any]

_PLAIN = (
    "id",
    "user_id",
    "model",
    "status",
    "progress",
    "prompt",
    "size",
    "seconds",
    "quality",
    "kind",
    "remixed_from_video_id",
    "retry_of",
    "file_url",
    "thumbnail_url",
    "content_type",
    "content_bytes",
    "content_sha256",
    "error_code",
    "error_message",
    "hold_reason",
    "priority",
    "quota_state",
    "webhook_url",
)
_TIMES = (
    "created_at",
    "updated_at",
    "completed_at",
    "finished_at",
    "expires_at",
    "deadline_at",
    "run_at",
    "archived_at",
    "deleted_at",
)

# A page shows some forty members of twenty videos.
_plain, _times = attrgetter(*_PLAIN), attrgetter(*_TIMES)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-11-22T10:00:00.000Z`, or None."""
    if moment is None:
        return None
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def money(amount: Decimal | None) -> float | None:
    """US dollars as a JSON number of at most four places."""
    return None if amount is None else float(round(amount, 4))


def video(row: Video) -> Json:
    """A video as `GET /api/videos/{id}` shows it. `error` is null unless it failed. `seq` is first:
    there the cache finds it in the text.
    """
    body: Json = {"seq": row.seq, "object": "video"}
    body.update(zip(_PLAIN, _plain(row), strict=True))
    body.update(zip(_TIMES, map(rfc3339, _times(row)), strict=True))
    body["metadata"] = dict(row.metadata)
    body["cost_estimated"] = money(row.cost_estimated)
    body["cost_actual"] = money(row.cost_actual)
    failed = row.status == Status.FAILED
    body["error"] = {"code": row.error_code, "message": row.error_message} if failed else None
    return body


def texts(rows: Iterable[Video]) -> list[bytes]:
    """The same of many, as JSON. The videos of a batch are alike but for their ids and prompts:
    what goes around these is made once.
    """
    made: list[bytes] = []
    last: object = None
    parts: tuple[bytes, bytes, bytes] | None = None
    for row in rows:
        rest = _rest(row)
        # Documents that Python takes for equal may be written in different ways.
        if rest == last and not row.metadata:
            before, between, after = parts = parts or _around(video(row))
            made.append(before + to_json(row.id) + between + to_json(row.prompt) + after)
        else:
            last, parts = rest, None
            made.append(to_json(video(row)))
    return made


_rest = itemgetter(
    *(n for n, name in enumerate(Video._fields) if name not in {"id", "prompt", "fingerprint"})
)


def _around(body: Json) -> tuple[bytes, bytes, bytes]:
    """What stands before its id, between that and the prompt, and behind."""
    items, names = list(body.items()), list(body)
    first, second = names.index("id"), names.index("prompt")
    return (
        to_json(dict(items[:first]))[:-1] + b',"id":',
        b"," + to_json(dict(items[first + 1 : second]))[1:-1] + b',"prompt":',
        b"," + to_json(dict(items[second + 1 :]))[1:],
    )


def event(row: Event) -> Json:
    """One event of a video's history."""
    return {
        "id": row.id,
        "object": "event",
        "video_id": row.video_id,
        "event_type": row.event_type,
        "event_data": dict(row.event_data),
        "created_at": rfc3339(row.created_at),
        "seq": row.seq,
        "user_id": row.user_id,
    }


def attempt(row: Attempt) -> Json:
    """One submission of a video to a provider."""
    return {
        "object": "attempt",
        "n": row.n,
        "provider": row.provider,
        "state": row.state,
        "detached": row.detached,
        "sent_at": rfc3339(row.sent_at),
        "accepted_at": rfc3339(row.accepted_at),
        "unknown_at": rfc3339(row.unknown_at),
        "ended_at": rfc3339(row.ended_at),
        "looks": row.looks,
        "http_status": row.http_status,
        "cost": money(row.cost),
    }


def quota(row: Quota) -> Json:
    """A user's quota; `used` and `limit` repeat the columns under the names that the 429 answer
    has.
    """
    return {
        "user_id": row.user_id,
        "videos_created": row.videos_created,
        "videos_limit": row.videos_limit,
        "used": row.videos_created,
        "limit": row.videos_limit,
        "remaining": row.remaining,
        "reset_at": rfc3339(row.reset_at),
        "cost_used": money(row.cost_used),
        "cost_limit": money(row.cost_limit),
        "max_in_flight": row.max_in_flight,
        "weight": row.weight,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
    }


def endpoint(row: Endpoint, failing_since: datetime | None) -> Json:
    """A webhook endpoint, without its secrets."""
    return {
        "object": "webhook_endpoint",
        "id": row.id,
        "user_id": row.user_id,
        "url": row.url,
        "events": list(row.events),
        "description": row.description,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
        "disabled_at": rfc3339(row.disabled_at),
        "disabled_reason": row.disabled_reason,
        "failing_since": rfc3339(failing_since),
        "previous_secret_until": rfc3339(row.previous_until),
    }


def signer(row: Endpoint) -> Json:
    """The secret that signs what goes to the `webhook_url` of single videos."""
    return {
        "object": "webhook_secret",
        "secret": row.secret,
        "previous_secret_until": rfc3339(row.previous_until),
    }


def delivery(row: Delivery) -> Json:
    """A delivery, as its log shows it."""
    return {
        "object": "webhook_delivery",
        "id": row.id,
        "webhook_id": row.message_id,
        "endpoint_id": row.endpoint_id,
        "url": row.url,
        "video_id": row.video_id,
        "type": row.type,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": rfc3339(row.created_at),
        "due_at": rfc3339(row.due_at),
        "last_attempt_at": rfc3339(row.last_attempt_at),
        "delivered_at": rfc3339(row.delivered_at),
        "status_code": row.status_code,
        "response": row.response,
        "error": row.error,
    }
