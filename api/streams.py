"""What happens, told while it happens: server-sent events of one video, or of all of a user's."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import cast

from flask import Blueprint, Flask, Response, current_app, request
from pydantic_core import to_json

from api import schemas
from api.bodies import query
from api.contract import contract
from api.current import caller, context
from orchestrator import streams
from orchestrator.context import Context
from orchestrator.feeds import Feeds
from orchestrator.readers import Feed
from orchestrator.streams import Message, Place

MEDIA_TYPE = "text/event-stream"
EXTENSION = "feeds"
_RETRY = b"retry: 3000\n\n"
_HEARTBEAT = b":\n\n"
# A proxy that collects or compresses would hold the events back.
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

blueprint = Blueprint("streams", __name__, url_prefix="/api")


@blueprint.get("/videos/<video_id>/events/stream")
@contract(
    "Watch a video",
    tag="events",
    query=schemas.StreamStart,
    media=(MEDIA_TYPE,),
    heeds=("Last-Event-ID",),
    also=(204,),
)
def of_video(video_id: str) -> Response:
    """Its events as they happen, until its end; the id of each is its `seq`. Without Last-Event-ID
    (or `after`) it begins with a `snapshot`. 204: there is nothing left to wait for.
    """
    place = streams.enter_video(context(), caller(), video_id, _cursor())
    return Response(status=204) if place is None else _stream(place)


@blueprint.get("/events/stream")
@contract(
    "Watch all of your videos",
    tag="events",
    query=schemas.StreamStart,
    media=(MEDIA_TYPE,),
    heeds=("Last-Event-ID",),
)
def of_user() -> Response:
    """The events of all your videos as they happen. Without Last-Event-ID (or `after`) it begins
    with a `snapshot` of those under way. The ids are opaque.
    """
    return _stream(streams.enter_user(context(), caller().user_id, _cursor()))


def install(app: Flask, ctx: Context) -> None:
    """Let this application have readers of streams."""
    app.extensions[EXTENSION] = Feeds(ctx)


def feeds_of(app: Flask) -> Feeds:
    """The readers of this application's streams."""
    return cast(Feeds, app.extensions[EXTENSION])


class EventStream:
    """The body of a stream. Any WSGI server can iterate over it, with a thread for each client; a
    bridge that knows it takes chunks from it, with none.
    """

    def __init__(self, feed: Feed):
        self.feed = feed
        self._begun = False

    def take(self) -> bytes | None:
        """The next chunk, if there is one by now; None for good once the feed was `over` before."""
        if not self._begun:
            self._begun = True
            return _RETRY
        messages = self.feed.take()
        if messages is None:
            return None
        return b"".join(map(_frame, messages)) or _HEARTBEAT

    def __iter__(self) -> Iterator[bytes]:
        bell = Event()
        self.feed.ring = bell.set
        while True:
            over = self.feed.over
            chunk = self.take()
            if chunk is not None:
                yield chunk
            elif over:
                return
            else:
                bell.wait()
                bell.clear()

    def close(self) -> None:
        """The client has gone."""
        self.feed.close()


def _cursor() -> str | None:
    # A browser that connects again repeats the address of the first time; its header is newer.
    after = query(schemas.StreamStart).after
    return request.headers.get("Last-Event-ID") or after


def _stream(place: Place) -> Response:
    if request.method == "HEAD":
        return Response(headers=_HEADERS, mimetype=MEDIA_TYPE)
    feed = feeds_of(current_app).enter(caller(), place)
    return Response(
        EventStream(feed), headers=_HEADERS, mimetype=MEDIA_TYPE, direct_passthrough=True
    )


def _frame(message: Message) -> bytes:
    head = f"event: {message.event}\n"
    if message.cursor is not None:
        head = f"id: {message.cursor}\n{head}"
    return b"%bdata: %b\n\n" % (head.encode(), to_json(message.data))
