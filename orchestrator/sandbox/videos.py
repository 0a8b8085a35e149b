"""The Videos API over HTTP, in the dialect that was chosen."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import Any, cast

from flask import Blueprint, Response, request

from orchestrator.sandbox import mishaps, replies
from orchestrator.sandbox.errors import RefusedError, invalid
from orchestrator.sandbox.faults import Fault
from orchestrator.sandbox.ids import Place
from orchestrator.sandbox.intake import read_order
from orchestrator.sandbox.job import Job, Kind
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.sandbox.studio import Variant
from orchestrator.sandbox.wire import answered, current_sandbox

VARIANTS = ("video", "thumbnail", "spritesheet")
POLL_HINT_MS = (100, 10_000)

videos = Blueprint("videos", __name__)


@videos.before_request
def check_key() -> None:
    """Let in who has the key, where there is one."""
    sandbox = current_sandbox()
    wanted = sandbox.settings.api_key
    if wanted is None:
        return
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if sandbox.dialect.name == "azure":
        given = request.headers.get("api-key", given)
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise RefusedError(401, "Incorrect API key provided.", code="invalid_api_key")


@videos.after_request
def add_request_id(response: Response) -> Response:
    """Name the request, as providers do."""
    response.headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
    return response


@videos.post("/videos")
def create() -> Response:
    """Accept a video."""
    return _accepted("create", None)


@videos.post("/videos/<path:video_id>/remix")
def remix(video_id: str) -> Response:
    """Accept a video that is like another one."""
    _require(current_sandbox().dialect.has_remix)
    return _accepted("remix", video_id)


@videos.post("/videos/edits")
def edit() -> Response:
    """Accept a changed video."""
    _require(current_sandbox().dialect.has_edits)
    return _accepted("edit", None)


@videos.post("/videos/extensions")
def extend() -> Response:
    """Accept a longer video."""
    _require(current_sandbox().dialect.has_edits)
    return _accepted("extension", None)


def _accepted(kind: Kind, source: str | None) -> Response:
    sandbox = current_sandbox()

    def act(_: Fault | None) -> Response:
        order = read_order(request, sandbox.dialect)
        key = request.headers.get("Idempotency-Key")
        builds_on = source or (order.source if kind != "create" else None)
        job = sandbox.accept(order, kind, builds_on, key)
        # LiteLLM knows the deployment of what it creates, and forgets it for what builds on that.
        place: Place = "create" if kind == "create" else "retrieve"
        return _shown(job, place, sandbox.dialect.create_status)

    return mishaps.misbehaving(sandbox, "create", act)


@videos.get("/videos/<path:video_id>")
def retrieve(video_id: str) -> Response:
    """Show a video."""
    sandbox = current_sandbox()

    def act(fault: Fault | None) -> Response:
        job = sandbox.find(video_id)
        answer = _shown(job, "retrieve")
        if fault is not None and fault.kind == "unknown_status":
            return answered({**json.loads(answer.data), "status": fault.value})
        failed = sandbox.state(job).status == "failed" and job.failure
        if failed and sandbox.dialect.failed_get_is_http_error:
            answer.status_code = failed.http_status
        return answer

    return mishaps.misbehaving(sandbox, "get", act)


@videos.get("/videos")
def list_videos() -> Response:
    """Show a page of videos."""
    sandbox = current_sandbox()
    return mishaps.misbehaving(sandbox, "list", lambda fault: answered(_page(sandbox, fault)))


def _page(sandbox: Sandbox, fault: Fault | None) -> dict[str, Any]:
    listing, kind = sandbox.dialect.listing, fault.kind if fault else ""
    if listing == "refused":
        raise RefusedError(
            400, "LLM Provider NOT provided. Pass in the LLM provider you want to call."
        )
    if listing == "by_provider" and not request.args.get("provider"):
        raise invalid("provider", "The query parameter 'provider' is required.")
    if kind == "empty":
        return replies.video_list([], False, sandbox.dialect)
    after = None if listing == "whole" or kind == "ignore_after" else request.args.get("after")
    try:
        jobs, more = sandbox.jobs.page(
            after=sandbox.inner(after) if after else None,
            limit=None if listing == "whole" else _limit(),
            newest_first=_newest_first(),
            younger_hidden=fault.number if fault and kind == "lag" else 0,
        )
    except KeyError:
        raise invalid("after", f"No video with id '{after}'.") from None
    shown = [_object(job, "list") for job in jobs]
    # A server that does not understand `after` believes that there is always more.
    return replies.video_list(
        shown, more or (kind == "ignore_after" and bool(shown)), sandbox.dialect
    )


def _limit() -> int:
    written = request.args.get("limit", "20")
    if not written.isdecimal() or int(written) > 100:
        raise invalid("limit", "'limit' must be within 0..100.")
    return int(written)


def _newest_first() -> bool:
    order = request.args.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise invalid("order", "'order' must be 'asc' or 'desc'.")
    return order == "desc"


@videos.get("/videos/<path:video_id>/content")
def content(video_id: str) -> Response:
    """Hand out the bytes of a finished video."""
    sandbox = current_sandbox()

    def act(fault: Fault | None) -> Response:
        data, mime = sandbox.content(sandbox.find(video_id), _variant(sandbox))
        match fault.kind if fault else "":
            case "truncated":
                return mishaps.truncated(data, mime)
            case "wrong":
                return answered({"error": {"message": "Video is not ready yet.", "code": None}})
            case "slow" if fault is not None:
                return mishaps.slow(data, mime, fault.number, sandbox)
            case _:
                return Response(data, mimetype=mime)

    return mishaps.misbehaving(sandbox, "content", act)


def _variant(sandbox: Sandbox) -> Variant:
    asked = request.args.get("variant", "video")
    match sandbox.dialect.variants:
        case "ignored":
            return "video"
        case "index":
            if asked not in {"video", "0"}:
                raise RefusedError(404, f"Variant '{asked}' not found.")
            return "video"
        case "video_only":
            if asked != "video":
                raise invalid("variant", "Only the variant 'video' is supported.")
            return "video"
        case "all":
            if asked not in VARIANTS:
                raise invalid("variant", f"'variant' must be one of {', '.join(VARIANTS)}.")
            return cast(Variant, asked)


@videos.delete("/videos/<path:video_id>")
def delete(video_id: str) -> Response:
    """Take a video out of sight."""
    sandbox = current_sandbox()
    _require(sandbox.dialect.has_delete)

    def act(_: Fault | None) -> Response:
        job = sandbox.find(video_id)
        shown = _object(job, "retrieve")
        sandbox.delete(job)
        return answered(replies.deleted(shown, sandbox.dialect))

    return mishaps.misbehaving(sandbox, "delete", act)


@videos.get("/models")
def models() -> Response:
    """Name the models. Any other name is accepted, too."""
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "sandbox"}
        for name in current_sandbox().settings.models
    ]
    return answered({"object": "list", "data": data})


def _require(there: bool) -> None:
    if not there:
        raise RefusedError(405 if request.method == "DELETE" else 404, "Not Found")


def _object(job: Job, place: Place) -> dict[str, Any]:
    sandbox = current_sandbox()
    state = sandbox.state(job)
    return replies.video(job, state, sandbox.dialect, place, sandbox.expires_at(state))


def _shown(job: Job, place: Place, status: int = 200) -> Response:
    sandbox = current_sandbox()
    response = answered(_object(job, place), status)
    if sandbox.dialect.poll_hint and sandbox.state(job).open:
        low, high = POLL_HINT_MS
        hint = max(low, min(high, round(sandbox.seconds_left(job) * 1000)))
        response.headers["openai-poll-after-ms"] = str(hint)
    return response
