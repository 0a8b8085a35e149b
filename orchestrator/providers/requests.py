"""What goes out for a submission, in the encoding that the profile's server reads. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from orchestrator.catalog import Provider
from orchestrator.errors import Unsupported
from orchestrator.providers.protocol import CreateRequest, InputReference

File = tuple[str, bytes, str]
"""Name, bytes, content type."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One POST. files: None sends `fields` as JSON; a mapping, even an empty one, as multipart."""

    path: str
    fields: Mapping[str, Any]
    files: Mapping[str, File] | None
    idempotency_key: str


def create(provider: Provider, request: CreateRequest) -> Submission:
    """A create. Model, seconds and size are always said: each server has other defaults."""
    profile = provider.profile
    image = request.input_reference
    fields: dict[str, Any] = {
        "prompt": request.prompt,
        "model": provider.upstream_model(request.model),
        "seconds": request.seconds,
        "size": request.size,
    }
    if request.quality is not None and profile.quality:
        fields["quality"] = request.quality
    files: dict[str, File] | None = {} if profile.create_encoding == "multipart" else None
    if image is not None and profile.image_encoding == "multipart":
        files = {"input_reference": (image.filename, image.data, image.content_type)}
    elif image is not None:
        fields["input_reference"] = _data_url(image)
    return Submission("/videos", fields, files, request.attempt_id)


def remix(provider: Provider, source_id: str, request: CreateRequest) -> Submission:
    """A remix: the source decides everything but the prompt.

    Raises:
        Unsupported: this provider has no remix.
    """
    if provider.profile.remix == "remix":
        fields = {"prompt": request.prompt}
        return Submission(f"{video_path(source_id)}/remix", fields, None, request.attempt_id)
    if provider.profile.remix == "edits":
        return _edit(source_id, request)
    raise Unsupported(f"Provider {provider.name} offers no remix of a video.")


def edit(provider: Provider, source_id: str, request: CreateRequest) -> Submission:
    """A changed version of a video.

    Raises:
        Unsupported: this provider has no edits.
    """
    if not provider.profile.edits:
        raise Unsupported(f"Provider {provider.name} offers no edit of a video.")
    return _edit(source_id, request)


def extend(provider: Provider, source_id: str, request: CreateRequest) -> Submission:
    """A continuation of a video; `request.seconds` are those to add.

    Raises:
        Unsupported: this provider has no extensions.
    """
    if not provider.profile.extensions:
        raise Unsupported(f"Provider {provider.name} offers no extension of a video.")
    fields = {"prompt": request.prompt, "seconds": request.seconds, "video": {"id": source_id}}
    return Submission("/videos/extensions", fields, None, request.attempt_id)


def _edit(source_id: str, request: CreateRequest) -> Submission:
    fields = {"prompt": request.prompt, "video": {"id": source_id}}
    return Submission("/videos/edits", fields, None, request.attempt_id)


def video_path(provider_video_id: str) -> str:
    """The path of one video; ids are opaque and may hold any visible character."""
    return f"/videos/{quote(provider_video_id, safe='')}"


def _data_url(image: InputReference) -> str:
    return f"data:{image.content_type};base64,{b64encode(image.data).decode()}"
