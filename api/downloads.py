"""The files of a video: whole, in parts, or not at all if the client has them already."""

from __future__ import annotations

from datetime import timedelta

import structlog
from flask import Blueprint, Response, request

from api import schemas
from api.bodies import query
from api.contract import contract
from api.current import caller, context
from api.errors import range_problem
from api.files import FileBody
from api.peers import client_address
from api.ranges import Span, Unsatisfiable, span
from orchestrator import contents, events
from orchestrator.contents import StoredContent
from orchestrator.errors import ContentMissing

blueprint = Blueprint("downloads", __name__, url_prefix="/api/videos/<video_id>")

_SIGNED_FOR = timedelta(minutes=15)
MEDIA = ("video/mp4", "video/x-msvideo", "image/webp", "image/jpeg")
HEEDS = ("Range", "If-Range", "If-None-Match")
ALSO = (206, 302, 304)
ERRORS = ("gone", "range_not_satisfiable", "storage_error", "content_missing")

log = structlog.get_logger(__name__)


@blueprint.get("/download")
@contract(
    "Download a video",
    query=schemas.Download,
    media=MEDIA,
    also=ALSO,
    errors=("not_ready", *ERRORS),
    heeds=HEEDS,
    gives=("ETag",),
)
def download(video_id: str) -> Response:
    """Ranges and ETags are honoured; with S3 storage the answer is a redirect to a signed URL."""
    return fetched(video_id, query(schemas.Download).variant)


@blueprint.get("/thumbnail")
@contract(
    "The picture of a video",
    media=("image/webp",),
    also=ALSO,
    errors=("not_ready", *ERRORS),
    heeds=HEEDS,
    gives=("ETag",),
)
def thumbnail(video_id: str) -> Response:
    """Some providers make none; then the answer is 404."""
    return _answer(contents.find(context(), caller(), video_id, "thumbnail"), attachment=False)


def fetched(video_id: str, variant: str, *, redirect: bool = True) -> Response:
    """Hand out one of the files of a video, and note that.

    Args:
        redirect: whether a storage that signs URLs may send the bytes itself.
    Raises:
        NotFound, Conflict, Gone: as `contents.find`.
    """
    found = contents.find(context(), caller(), video_id, variant)
    response = _answer(found, attachment=True, redirect=redirect)
    if request.method == "GET" and response.status_code in {200, 206, 302}:
        _note(video_id, variant)
    return response


def _note(video_id: str, variant: str) -> None:
    """One event a download, not one for every part that a player fetches."""
    wanted = request.headers.get("Range", "bytes=0-").replace(" ", "")
    if wanted.startswith("bytes=0-"):
        events.downloaded(
            context(),
            video_id,
            ip=client_address(request, context().settings.trusted_proxies),
            user_agent=request.headers.get("User-Agent"),
            variant=variant,
        )


def _answer(found: StoredContent, *, attachment: bool, redirect: bool = True) -> Response:
    if request.if_none_match.contains(found.etag):
        return Response(status=304, headers=_headers(found, attachment=attachment))
    storage = context().storage
    if redirect and request.method == "GET":
        url = storage.signed_url(found.key, expires_in=_SIGNED_FOR, filename=found.filename)
        if url is not None:
            return Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    info = storage.stat(found.key)
    if info is None:
        raise _vanished(found)
    return _content(found, info.size, attachment=attachment)


def _content(found: StoredContent, size: int, *, attachment: bool) -> Response:
    try:
        part = span(_wanted(found), size)
    except Unsatisfiable:
        return range_problem(size)
    whole = Span(0, size) if part is None else part
    headers = _headers(found, attachment=attachment) | {"Content-Length": str(whole.length)}
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    body = None if request.method == "HEAD" else _stream(found, whole)
    return Response(
        body,
        200 if part is None else 206,
        headers=headers,
        mimetype=found.media_type,
        direct_passthrough=True,
    )


def _stream(found: StoredContent, part: Span) -> FileBody:
    """The bytes, opened before the status is sent: what is missing must not be a broken 200."""
    try:
        return FileBody(context().storage.open(found.key, start=part.start, end=part.end))
    except ContentMissing:
        raise _vanished(found) from None


def _vanished(found: StoredContent) -> ContentMissing:
    """The row says that the bytes are there. If it still does, they are lost: no client's fault."""
    contents.find(context(), caller(), found.video.id)
    log.error("content_missing", video_id=found.video.id, key=found.key)
    return ContentMissing("The storage does not have this file at the moment.")


def _wanted(found: StoredContent) -> str | None:
    """The header Range, unless If-Range says that the client's earlier part is of another file."""
    condition = request.headers.get("If-Range")
    if condition is not None and condition.strip() != f'"{found.etag}"':
        return None
    return request.headers.get("Range")


def _headers(found: StoredContent, *, attachment: bool) -> dict[str, str]:
    disposition = "attachment" if attachment else "inline"
    return {
        "ETag": f'"{found.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'{disposition}; filename="{found.filename}"',
    }
