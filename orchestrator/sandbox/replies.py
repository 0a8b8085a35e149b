"""Words a job for the wire as the imitated server would, and errors likewise. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.sandbox.dialects import Dialect
from orchestrator.sandbox.errors import RefusedError
from orchestrator.sandbox.ids import Place, public_id
from orchestrator.sandbox.job import Failure, Job, State

Json = dict[str, Any]


def video(job: Job, state: State, dialect: Dialect, place: Place, expires_at: float | None) -> Json:
    """The job object in the reply to that kind of call."""
    shown: Json = {
        "id": public_id(job.id, dialect.ids, place, job.model),
        "object": "video",
        "created_at": int(job.created_at),
        "status": dialect.status_names.get(state.status, state.status),
        "completed_at": None if state.completed_at is None else int(state.completed_at),
        "error": None,
        "expires_at": None if expires_at is None else int(expires_at),
        "model": job.model,
        "size": job.size,
        "quality": job.quality,
        "remixed_from_video_id": job.source,
        **_length(job, dialect),
        **_progress(state, dialect),
        **_extras(job, state, dialect),
    }
    if dialect.echoes_prompt:
        shown["prompt"] = job.prompt
    if state.status == "failed" and job.failure is not None:
        shown["error"] = _failure(job.failure, dialect)
    return shown


def _length(job: Job, dialect: Dialect) -> Json:
    return (
        {"duration": float(job.seconds)}
        if dialect.tells_duration
        else {"seconds": str(job.seconds)}
    )


def _progress(state: State, dialect: Dialect) -> Json:
    match dialect.progress:
        case "percent":
            return {"progress": state.progress}
        case "ends":
            return {"progress": 100 if state.status == "completed" else 0}
        case "fraction":
            return {"progress": float(state.progress)} if state.progress else {}
        case "null":
            return {"progress": None}
        case "absent":
            return {}


def _extras(job: Job, state: State, dialect: Dialect) -> Json:
    extras = dict(dialect.extras)
    if dialect.ids == "litellm":
        extras["usage"] = {"duration_seconds": float(job.seconds)}
    if dialect.envelope == "bifrost" and state.status == "completed":
        address = f"/v1/videos/{public_id(job.id, dialect.ids, 'retrieve', job.model)}/content"
        extras["videos"] = [{"type": "url", "url": address}]
    return extras


def _failure(failure: Failure, dialect: Dialect) -> object:
    match dialect.error:
        case "object":
            return {"code": failure.code, "message": failure.message}
        case "string":
            return failure.message
        case "uncoded":
            return {"message": failure.message}
        case "numbered":
            return {"code": failure.http_status, "message": failure.message}


def video_list(shown: Sequence[Json], more: bool, dialect: Dialect) -> Json:
    """One page of a list."""
    if dialect.listing in {"bare", "whole"}:
        return {"object": "list", "data": list(shown)}
    return {
        "object": "list",
        "data": list(shown),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": more,
    }


def deleted(shown: Json, dialect: Dialect) -> Json:
    """The reply to a delete; `shown` is the job as it was."""
    match dialect.delete_reply:
        case "openai":
            return {"id": shown["id"], "object": "video.deleted", "deleted": True}
        case "flag":
            return {"deleted": True}
        case "job":
            return {**shown, "status": "deleted"}


def error(refusal: RefusedError, dialect: Dialect) -> Json:
    """The body of an HTTP error."""
    plain: Json = {
        "message": refusal.message,
        "type": refusal.type,
        "param": refusal.param,
        "code": refusal.code,
    }
    match dialect.envelope:
        case "openai":
            return {"error": plain}
        case "status_code":
            return {"error": {**plain, "code": str(refusal.status)}}
        case "detail":
            return {"detail": refusal.message}
        case "bifrost":
            about = {"type": refusal.type, "code": refusal.code, "message": refusal.message}
            return {"is_bifrost_error": False, "status_code": refusal.status, "error": about}
        case "flat":
            return {"object": "error", **plain, "code": refusal.status}
