"""The stable codes of errors: what they mean, and the HTTP status that each always has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Code(NamedTuple):
    """What a code says."""

    status: int
    meaning: str


CODES: Mapping[str, Code] = {
    "invalid_value": Code(400, "A field breaks its rule; the message says what it may be."),
    "invalid_json": Code(400, "The body is not JSON."),
    "missing_field": Code(400, "A field that is needed is not there."),
    "unknown_field": Code(400, "A field has a name that this request does not take."),
    "unknown_model": Code(
        400, "No provider serves this model; the message lists those that there are."
    ),
    "invalid_idempotency_key": Code(
        400, "The Idempotency-Key is not 1 to 255 visible ASCII characters."
    ),
    "unsupported": Code(400, "The provider of this model cannot do that."),
    "bad_request": Code(400, "The request cannot be read."),
    "bad_signature": Code(400, "The signature of the webhook does not match, or is too old."),
    "unauthenticated": Code(401, "No API key came with the request, or one that does not count."),
    "forbidden": Code(403, "This key may not do that."),
    "scope_missing": Code(403, "This key is not for that; its scopes say what it is for."),
    "foreign_page": Code(403, "A request with a session's cookie must come from our own pages."),
    "sessions_off": Code(403, "There are no browser sessions here: SECRET_KEY is not set."),
    "not_local": Code(403, "AUTH=off serves this machine only, and only its own pages."),
    "not_found": Code(404, "There is no such thing, or it is somebody else's."),
    "content_not_ready": Code(404, "Only a completed video has content (below /v1)."),
    "model_not_found": Code(404, "There is no model of this name."),
    "method_not_allowed": Code(
        405, "This address takes other methods; the header Allow lists them."
    ),
    "request_timeout": Code(408, "The body of the request did not come in time."),
    "conflict": Code(409, "The present state does not allow this."),
    "already_finished": Code(409, "The video is finished and cannot be cancelled."),
    "not_completed": Code(409, "Only a completed video can be remixed, edited or extended."),
    "not_ready": Code(409, "Only a completed video has content."),
    "not_retryable": Code(409, "Only a failed or cancelled video can be retried."),
    "retry_exists": Code(409, "A retry of this video is under way."),
    "not_held": Code(409, "The video is not held: there is nothing to decide."),
    "id_taken": Code(409, "That id of the provider belongs to another video."),
    "provider_gone": Code(409, "The provider that has this video is not configured any longer."),
    "too_many_endpoints": Code(409, "There are 20 webhook endpoints already."),
    "endpoint_disabled": Code(
        409, "The webhook endpoint is disabled; it can be switched on again."
    ),
    "gone": Code(410, "It was removed after its retention."),
    "request_too_large": Code(413, "The body is larger than this address takes."),
    "unsupported_media_type": Code(415, "The body is of a type that this address does not take."),
    "range_not_satisfiable": Code(416, "The range begins behind the end of the content."),
    "idempotency_key_reused": Code(422, "This Idempotency-Key was used with another request."),
    "quota_exceeded": Code(429, "The month's videos or money are spent."),
    "rate_limited": Code(429, "Too many requests; Retry-After says when to come back."),
    "internal_error": Code(500, "Our fault. The request id finds it in the logs."),
    "storage_error": Code(503, "The storage does not answer; try again."),
    "content_missing": Code(
        503, "The storage lacks bytes that it should have; an operator must look."
    ),
    "too_many_uploads": Code(503, "Too many large bodies come at once; try again."),
    "dependency_down": Code(503, "The database does not answer; try again."),
    "dependency_busy": Code(503, "The database is too busy; try again."),
    "commit_unknown": Code(
        503, "Nobody knows whether it was done; try again with the same Idempotency-Key."
    ),
}
