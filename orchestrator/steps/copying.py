"""Copying one variant of a finished video from its provider into our storage."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import media
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.errors import ContentInvalid
from orchestrator.records import Attempt, Video

EXTENSIONS = {
    "video/mp4": "mp4",
    "video/x-msvideo": "avi",
    "image/webp": "webp",
    "image/jpeg": "jpg",
    "image/png": "png",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that lie in our storage."""

    key: str
    sha256: str
    size: int
    media_type: str


def fetch(
    ctx: Context,
    provider: Provider,
    video: Video,
    attempt: Attempt,
    variant: str,
    accepted: frozenset[str],
) -> Stored:
    """Stream one variant into the storage. Its key holds its hash, so two copies of a video cannot
    mix.

    Raises:
        ContentInvalid: what came is none of the accepted types.
        ProviderError: it did not come, or not to the end.
        StorageError: it could not be kept.
    """
    client = ctx.pool.get(provider)
    source = attempt.provider_video_id or ""
    with client.download(source, variant) as download, ctx.storage.stage() as staged:
        for chunk in download.chunks:
            staged.write(chunk)
        media_type = media.sniff(staged.head)
        if media_type not in accepted:
            raise ContentInvalid(
                f"The provider sent {media_type or 'something'} that is no {variant}."
            )
        key = f"videos/{video.id}/{staged.sha256}.{EXTENSIONS[media_type]}"
        staged.commit(key, media_type)
        return Stored(key, staged.sha256, staged.size, media_type)
