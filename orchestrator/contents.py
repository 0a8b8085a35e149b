"""The bytes of a finished video, for those who may have them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import videos
from orchestrator.context import Context
from orchestrator.errors import Conflict, Gone, NotFound
from orchestrator.lifecycle import Status
from orchestrator.records import Caller, Video

VARIANTS = ("video", "thumbnail", "spritesheet")
_TYPES = {"thumbnail": "image/webp", "spritesheet": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class StoredContent:
    """Where the bytes of one variant lie and what they are. `etag` changes exactly when they do."""

    video: Video
    key: str
    media_type: str
    etag: str
    filename: str


def find(ctx: Context, caller: Caller, video_id: str, variant: str = "video") -> StoredContent:
    """The stored bytes of a video.

    Raises:
        NotFound: no such video of this user, or it has no such variant.
        Conflict: it is not completed (`not_ready`).
        Gone: its bytes were removed after their retention.
    """
    video = videos.load(ctx, caller, video_id)
    if video.purged_at is not None:
        raise Gone("The content of this video was removed after its retention.")
    if video.status != Status.COMPLETED:
        raise Conflict(
            f"This video is {video.status}; only a completed one has content.", code="not_ready"
        )
    key = {
        "video": video.content_key,
        "thumbnail": video.thumbnail_key,
        "spritesheet": video.spritesheet_key,
    }.get(variant)
    if key is None:
        raise NotFound(f"This video has no {variant}.")
    media_type = _TYPES.get(variant) or video.content_type or "application/octet-stream"
    digest, _, extension = key.rpartition("/")[2].partition(".")
    return StoredContent(video, key, media_type, digest, f"{video.id}.{extension}")
