"""`/v1/videos`, as the openai SDK and other clients speak it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from api import downloads
from api.answers import OpenAIError
from api.bodies import query
from api.contract import contract
from api.current import caller, context, made
from api.facade import objects, requests
from api.facade.tries import key
from api.replies import reply
from orchestrator import endings, submissions, videos, views
from orchestrator.errors import Conflict, NotFound, Unsupported
from orchestrator.submissions import Submitted

blueprint = Blueprint("openai_videos", __name__, url_prefix="/v1/videos")

POLL_HEADER = "openai-poll-after-ms"
SDK_HEADER = "X-Stainless-Lang"
_OF_SOURCES = ("not_completed", "provider_gone")
_NO_CHARACTERS = "Characters are not supported here."


@blueprint.post("")
@contract(
    "Ask for a video",
    tag="openai",
    facade=True,
    body=requests.OpenAICreateVideo,
    form=True,
    answer=objects.OpenAIVideo,
    creates=True,
    makes="video_id",
)
def create() -> Response:
    """A retry of the openai SDK gets the video of its first request."""
    body = requests.read(requests.OpenAICreateVideo)
    wanted = body.request(requests.image())
    return _accepted(submissions.create(context(), caller(), wanted, key=key()))


@blueprint.get("")
@contract(
    "List your videos",
    tag="openai",
    facade=True,
    query=requests.OpenAIListVideos,
    answer=objects.OpenAIVideos,
)
def page() -> Response:
    """A deleted video in `after` still holds its place."""
    asked = query(requests.OpenAIListVideos)
    found, more = videos.beyond(
        context(), caller(), asked.after, limit=asked.limit, ascending=asked.order == "asc"
    )
    return reply(objects.page([objects.video(views.video(video)) for video in found], more=more))


@blueprint.post("/<video_id>/remix")
@contract(
    "Ask for a variation of a completed video",
    tag="openai",
    facade=True,
    body=requests.OpenAIRemixVideo,
    form=True,
    answer=objects.OpenAIVideo,
    creates=True,
    makes="video_id",
    errors=_OF_SOURCES,
)
def remix(video_id: str) -> Response:
    """Goes to the provider that made the source."""
    prompt = requests.read(requests.OpenAIRemixVideo).prompt
    return _accepted(submissions.remix(context(), caller(), video_id, prompt, key=key()))


@blueprint.post("/edits")
@contract(
    "Ask for a changed version of a completed video",
    tag="openai",
    facade=True,
    body=requests.OpenAIEditVideo,
    form=True,
    answer=objects.OpenAIVideo,
    creates=True,
    makes="video_id",
    errors=("not_found", *_OF_SOURCES),
)
def edit() -> Response:
    """Where the provider of the source has edits; else 400 `unsupported`."""
    requests.refuse_upload()
    body = requests.read(requests.OpenAIEditVideo)
    made = submissions.edit(context(), caller(), body.video.id, body.prompt, key=key())
    return _accepted(made)


@blueprint.post("/extensions")
@contract(
    "Ask for a continuation of a completed video",
    tag="openai",
    facade=True,
    body=requests.OpenAIExtendVideo,
    form=True,
    answer=objects.OpenAIVideo,
    creates=True,
    makes="video_id",
    errors=("not_found", *_OF_SOURCES),
)
def extend() -> Response:
    """`seconds` is what is added; the new video is as long as both together."""
    requests.refuse_upload()
    body = requests.read(requests.OpenAIExtendVideo)
    made = submissions.extend(
        context(), caller(), body.video.id, body.prompt, body.seconds, key=key()
    )
    return _accepted(made)


@blueprint.post("/characters")
@contract("Characters are not supported", tag="openai", facade=True, answer=OpenAIError, status=400)
def create_character() -> Response:
    """No server that we know of has them."""
    raise Unsupported(_NO_CHARACTERS)


@blueprint.get("/characters")
@contract("Characters are not supported", tag="openai", facade=True, answer=OpenAIError, status=400)
def list_characters() -> Response:
    """No server that we know of has them."""
    raise Unsupported(_NO_CHARACTERS)


@blueprint.get("/characters/<character_id>")
@contract("Characters are not supported", tag="openai", facade=True, answer=OpenAIError, status=400)
def show_character(character_id: str) -> Response:
    """No server that we know of has them."""
    raise Unsupported(_NO_CHARACTERS)


@blueprint.get("/<video_id>")
@contract(
    "Look at a video",
    tag="openai",
    facade=True,
    answer=objects.OpenAIVideo,
    gives=(POLL_HEADER,),
)
def show(video_id: str) -> Response:
    """The header openai-poll-after-ms says when to look again."""
    body = videos.get(context(), caller(), video_id)
    videos.fetched(context(), body)
    return reply(objects.video(body), headers={POLL_HEADER: objects.poll_after(body)})


@blueprint.delete("/<video_id>")
@contract("Delete a video", tag="openai", facade=True, answer=objects.OpenAIDeleted)
def delete(video_id: str) -> Response:
    """A running one is cancelled first."""
    return reply(objects.deleted(endings.delete(context(), caller(), video_id).id))


@blueprint.get("/<video_id>/content")
@contract(
    "Download a video",
    tag="openai",
    facade=True,
    query=requests.OpenAIContent,
    media=downloads.MEDIA,
    heeds=downloads.HEEDS,
    gives=("ETag",),
    also=downloads.ALSO,
    errors=("content_not_ready", *downloads.ERRORS),
)
def content(video_id: str) -> Response:
    """404 while it is not ready; ranges and ETags are honoured. Only the openai SDK is redirected
    to a signed URL where the storage has them.
    """
    variant = query(requests.OpenAIContent).variant
    # The SDK follows and leaves its key behind. Of the others, Bifrost does not follow, and n8n
    # takes its key along, which S3 refuses.
    redirect = SDK_HEADER in request.headers
    try:
        return downloads.fetched(video_id, variant, redirect=redirect)
    except Conflict as error:
        # Only a completed video has content: here such a thing is not a conflict but not there.
        raise NotFound(
            f"Video is not ready yet: {error.message}", code="content_not_ready"
        ) from None


def _accepted(submitted: Submitted) -> Response:
    made(submitted.video.id, replayed=submitted.replayed)
    headers = {}
    if submitted.replayed:
        headers["Idempotent-Replayed"] = "sdk-retry" if submitted.sdk_retry else "true"
    return reply(objects.video(views.video(submitted.video)), headers=headers)
