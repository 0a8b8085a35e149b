"""What the OpenAI API shows, made of what we have: every field always there, of one type.

Clients in several languages read these into typed structures, so a number where a text belongs, or
an `error` on a healthy video, breaks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from api.answers import Answer
from orchestrator.lifecycle import Status
from orchestrator.policies import client_delay

Json = dict[str, Any]

_SHOWN = ("id", "model", "prompt", "size", "seconds", "remixed_from_video_id")
_ENDS = {
    Status.CANCELLED: ("cancelled", "This video was cancelled."),
    Status.DELETED: ("deleted", "This video was deleted."),
}
"""Ends that the OpenAI API has no status for."""


class OpenAIFailure(Answer):
    """Why a video failed."""

    code: str
    message: str


class OpenAIVideo(Answer):
    """A video. Times are unix seconds; `error` is null unless it failed."""

    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int = Field(ge=0, le=100, description="100 exactly when completed.")
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: str | None = Field(description="Also of an edit or an extension.")
    error: OpenAIFailure | None


class OpenAIVideos(Answer):
    """A page of videos; `last_id` goes into `after`."""

    object: Literal["list"]
    data: list[OpenAIVideo]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OpenAIDeleted(Answer):
    """A video that is gone."""

    id: str
    object: Literal["video.deleted"]
    deleted: Literal[True]


class OpenAIModel(Answer):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModels(Answer):
    """All models."""

    object: Literal["list"]
    data: list[OpenAIModel]


def video(body: Json) -> Json:
    """A video as the OpenAI API shows it, from `views.video`."""
    status = body["status"]
    done = status == Status.COMPLETED
    shown: Json = {"object": "video"}
    for name in _SHOWN:
        shown[name] = body[name]
    for name in ("created_at", "completed_at", "expires_at"):
        shown[name] = _unix(body[name])
    shown["status"] = "failed" if status in _ENDS else status
    shown["progress"] = 100 if done else min(body["progress"], 99)
    shown["error"] = _failure(body)
    return shown


def page(videos: Sequence[Json], *, more: bool) -> Json:
    """A page of a list. Without videos there is no `last_id`, and then nobody must ask for more."""
    return {
        "object": "list",
        "data": list(videos),
        "first_id": videos[0]["id"] if videos else None,
        "last_id": videos[-1]["id"] if videos else None,
        "has_more": more and bool(videos),
    }


def deleted(video_id: str) -> Json:
    """The answer to a delete."""
    return {"id": video_id, "object": "video.deleted", "deleted": True}


def model(name: str, provider: str) -> Json:
    """A model. Nobody knows when it was created."""
    return {"id": name, "object": "model", "created": 0, "owned_by": provider}


def poll_after(body: Json) -> str:
    """Milliseconds until the client may look again, for `openai-poll-after-ms`."""
    age = datetime.now(UTC) - datetime.fromisoformat(body["created_at"])
    return str(round(client_delay(age.total_seconds()) * 1000))


def _failure(body: Json) -> Json | None:
    status = body["status"]
    if status in _ENDS:
        code, message = _ENDS[status]
        return {"code": code, "message": message}
    if status == Status.FAILED:
        return {
            "code": body["error_code"] or "failed",
            "message": body["error_message"] or "This video failed.",
        }
    return None


def _unix(text: str | None) -> int | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp())
