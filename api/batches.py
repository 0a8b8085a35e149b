"""`/api/videos/batch`: ask for many videos at once."""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import Field, JsonValue, WithJsonSchema
from pydantic_core import to_json

from api.answers import Answer, ErrorObject, Video
from api.bodies import json_body, parsed
from api.contract import contract
from api.current import caller, context
from api.errors import error_object, status_of
from api.idempotency import key
from api.replies import written
from api.schemas import Body, CreateVideo
from orchestrator import batches, views
from orchestrator.batches import MAX_VIDEOS
from orchestrator.errors import OrchestratorError
from orchestrator.fingerprints import fingerprint
from orchestrator.submissions import Submitted

blueprint = Blueprint("batches", __name__, url_prefix="/api/videos")

BATCH_BYTES = 33 * 1024 * 1024
"""As many videos as may come, each with the longest prompt."""
_ITEM = {"description": "As for `POST /api/videos`. A bad one is answered for itself."}


class CreateVideos(Body):
    """What `POST /api/videos/batch` takes."""

    videos: Annotated[
        list[Annotated[JsonValue, WithJsonSchema(_ITEM)]],
        Field(min_length=1, max_length=MAX_VIDEOS),
    ]


class AcceptedVideo(Answer):
    """A place of a batch whose video was accepted."""

    status: Literal[202]
    video: Video


class RefusedVideo(Answer):
    """A place of a batch that was refused: the status that it alone would have got, and why."""

    status: int = Field(ge=400, le=599)
    error: ErrorObject


class Batch(Answer):
    """What became of each video of a batch, in their order."""

    data: list[AcceptedVideo | RefusedVideo]


@blueprint.post("/batch")
@contract(
    "Ask for many videos",
    body=CreateVideos,
    answer=Batch,
    status=202,
    creates=True,
)
def create() -> Response:
    """Each is answered for itself, in the order of the request. With an Idempotency-Key the batch
    can be sent again: what was accepted is answered as it is, what was refused is tried anew.
    """
    items = json_body(CreateVideos, limit=BATCH_BYTES).videos
    made = batches.create(
        context(),
        caller(),
        [_read(item) for item in items],
        key=key(),
        fingerprint=fingerprint({"videos": items}),
    )
    accepted = [answer for answer in made if isinstance(answer, Submitted)]
    replayed = bool(accepted) and all(answer.replayed for answer in accepted)
    headers = {"Idempotent-Replayed": "true"} if replayed else {}
    return written(b'{"data":[%b]}' % b",".join(map(_shown, made)), 202, headers)


def _read(item: JsonValue) -> batches.Request:
    try:
        return parsed(CreateVideo, to_json(item)).request()
    except OrchestratorError as error:
        return error


def _shown(answer: batches.Answer) -> bytes:
    if isinstance(answer, Submitted):
        text = answer.text or to_json(views.video(answer.video))
        return b'{"status":202,"video":%b}' % text
    return to_json({"status": status_of(answer), "error": error_object(answer)})
