"""`/api/videos`: ask for videos, look at them, end them."""

from __future__ import annotations

from flask import Blueprint, Response, request

from api import answers, schemas
from api.bodies import form_or_json, json_body, query
from api.contract import contract
from api.current import caller, context, made
from api.idempotency import key
from api.replies import listing, reply
from api.scopes import reader
from api.waiting import waited
from orchestrator import endings, submissions, videos, views
from orchestrator.records import Video
from orchestrator.submissions import Submitted

blueprint = Blueprint("videos", __name__, url_prefix="/api/videos")


@blueprint.post("")
@contract(
    "Ask for a video",
    body=schemas.CreateVideo,
    form=True,
    answer=answers.Video,
    status=202,
    creates=True,
    waits=True,
    makes="video_id",
    gives=("Location",),
)
def create() -> Response:
    """Accepted means committed: it will be driven to its end, whatever happens to this server."""
    body, image = form_or_json(schemas.CreateVideo, file="input_reference")
    return _accepted(submissions.create(context(), caller(), body.request(image), key=key()))


@blueprint.get("")
@contract(
    "List your videos, newest first",
    query=schemas.ListVideos,
    answer=answers.VideoPage,
    gives=("Link",),
)
def page() -> Response:
    """Pages by cursor: what is added meanwhile neither repeats nor hides a video."""
    asked = query(schemas.ListVideos)
    found = videos.page(
        context(), reader(asked.user_id), asked.filters(), limit=asked.limit, cursor=asked.cursor
    )
    return listing([views.video(video) for video in found.videos], found.next_cursor)


@blueprint.get("/<video_id>")
@contract(
    "Look at a video",
    answer=answers.Video,
    also=(304,),
    waits=True,
    heeds=("If-None-Match",),
    gives=("ETag",),
)
def show(video_id: str) -> Response:
    """Answers from what is known here, and has the provider looked at soon if that is old."""
    body, applied = waited(videos.get(context(), caller(), video_id))
    headers = {"ETag": f'W/"{body["seq"]}"', **applied}
    if request.if_none_match.contains_weak(str(body["seq"])):
        return Response(status=304, headers=headers)
    return reply(body, headers=headers)


@blueprint.delete("/<video_id>")
@contract("Delete a video", answer=answers.Video)
def delete(video_id: str) -> Response:
    """Hides it at once, with its last state as the answer; a running one is cancelled first."""
    return _shown(endings.delete(context(), caller(), video_id))


@blueprint.post("/<video_id>/cancel")
@contract("Cancel a video that is not finished", answer=answers.Video, errors=("already_finished",))
def cancel(video_id: str) -> Response:
    """A second cancel answers like the first."""
    return _shown(endings.cancel(context(), caller(), video_id))


@blueprint.post("/<video_id>/remix")
@contract(
    "Ask for a variation of a completed video",
    body=schemas.RemixVideo,
    answer=answers.Video,
    status=202,
    creates=True,
    waits=True,
    makes="video_id",
    gives=("Location",),
    errors=("not_completed", "provider_gone"),
)
def remix(video_id: str) -> Response:
    """Goes to the provider that made the source, with the source's model, length and size."""
    body = json_body(schemas.RemixVideo)
    remixed = submissions.remix(
        context(), caller(), video_id, body.prompt, webhook_url=body.webhook_url, key=key()
    )
    return _accepted(remixed)


@blueprint.post("/<video_id>/retry")
@contract(
    "Ask again for a failed or cancelled video",
    answer=answers.Video,
    status=202,
    creates=True,
    waits=True,
    makes="video_id",
    gives=("Location",),
    errors=("not_retryable", "retry_exists", "not_completed", "provider_gone"),
)
def retry(video_id: str) -> Response:
    """Makes a new video, linked by `retry_of`."""
    return _accepted(submissions.retry(context(), caller(), video_id, key=key()))


@blueprint.post("/<video_id>/archive")
@contract("Put a video out of the way", answer=answers.Video)
def archive(video_id: str) -> Response:
    """Lists leave it out unless asked for it. Gives nothing back to the quota."""
    return _shown(videos.archive(context(), caller(), video_id))


@blueprint.post("/<video_id>/unarchive")
@contract("Bring an archived video back", answer=answers.Video)
def unarchive(video_id: str) -> Response:
    """The opposite of archive."""
    return _shown(videos.archive(context(), caller(), video_id, archived=False))


def _shown(video: Video) -> Response:
    return reply(views.video(video))


def _accepted(submitted: Submitted) -> Response:
    made(submitted.video.id, replayed=submitted.replayed)
    headers = {"Location": f"/api/videos/{submitted.video.id}"}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "true"
    body, applied = waited(views.video(submitted.video))
    return reply(body, 202, {**headers, **applied})
