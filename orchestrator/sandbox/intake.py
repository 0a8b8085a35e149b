"""Reads what a client asks for: JSON or multipart, as the published protocol allows both.

Everything is checked here; what comes out is sound. The sandbox is more generous than the servers
that it imitates: any whole second from 1 to 60 and any even size from 16 to 4096 pixels.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request

from orchestrator.sandbox.dialects import Dialect
from orchestrator.sandbox.errors import RefusedError, invalid

LONGEST_PROMPT = 32_000
LONGEST_IMAGE_URL = 20_971_520
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
SIDES = range(16, 4097)
SECONDS = range(1, 61)
NESTED = re.compile(r"(\w+)\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `picture` holds the bytes of a reference image that came along;
    `source` is the id of another video as the client wrote it; `fingerprint` names the body."""

    prompt: str
    model: str
    seconds: int
    size: str
    quality: str
    picture: bytes | None
    source: str | None
    fingerprint: str

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height."""
        width, _, height = self.size.partition("x")
        return int(width), int(height)


def read_order(request: Request, dialect: Dialect) -> Order:
    """The order in a request's body. Raises RefusedError that names the field."""
    fields = _fields(request, dialect)
    picture = _picture(request, fields, dialect)
    return Order(
        prompt=_prompt(fields),
        model=_text(fields, "model", "sora-2", 200),
        seconds=_seconds(fields, dialect),
        size=_size(fields, dialect),
        quality=_text(fields, "quality", "standard", 50),
        picture=picture,
        source=_source(request, fields),
        fingerprint=_fingerprint(request.path, fields, picture),
    )


def _fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """The body's fields; `a[b]=c` of a form becomes {"a": {"b": "c"}} as in JSON."""
    encoding = "json" if request.mimetype == "application/json" else "multipart"
    if encoding not in dialect.encodings and request.path.endswith("/videos"):
        wanted = "application/json" if encoding == "multipart" else "multipart/form-data"
        raise RefusedError(
            415, f"Unsupported content type; send {wanted}.", code="unsupported_media"
        )
    if encoding == "json":
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise RefusedError(400, "The body must be a JSON object.", code="invalid_json")
        return body
    if request.mimetype not in {"multipart/form-data", "application/x-www-form-urlencoded"}:
        raise RefusedError(415, "Send multipart/form-data or application/json.")
    fields: dict[str, Any] = {}
    for name, value in request.form.items():
        nested = NESTED.fullmatch(name)
        if nested is None:
            fields[name] = value
        else:
            inner = fields.setdefault(nested[1], {})
            if isinstance(inner, dict):
                inner[nested[2]] = value
    return fields


def _prompt(fields: Mapping[str, Any]) -> str:
    prompt = fields.get("prompt")
    if not isinstance(prompt, str):
        raise invalid(
            "prompt", "Missing required parameter: 'prompt' (a string).", "missing_required"
        )
    if not prompt.strip() or len(prompt) > LONGEST_PROMPT:
        raise invalid(
            "prompt", f"'prompt' must have 1 to {LONGEST_PROMPT} characters, not only spaces."
        )
    # Half of a surrogate pair is no text: neither a page nor a file could hold it.
    return prompt.encode("utf-8", "replace").decode()


def _text(fields: Mapping[str, Any], name: str, default: str, longest: int) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str) or len(value) > longest:
        raise invalid(name, f"'{name}' must be a string of at most {longest} characters.")
    return value


def _seconds(fields: Mapping[str, Any], dialect: Dialect) -> int:
    value = fields.get("seconds", fields.get("duration") if dialect.tells_duration else None)
    if value is None or value == "":
        return 4
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        written = re.fullmatch(r"(\d{1,3})(\.0*)?", str(value))
        if written is not None and int(written[1]) in SECONDS:
            return int(written[1])
    raise invalid(
        "seconds", f"'seconds' must be a whole number from 1 to 60, not {_quoted(value)}."
    )


def _size(fields: Mapping[str, Any], dialect: Dialect) -> str:
    value = fields.get("size")
    if value is None or value == "":
        return "720x1280"
    if dialect.known_sizes and value not in dialect.known_sizes:
        return dialect.known_sizes[0]
    written = re.fullmatch(r"(\d{1,4})x(\d{1,4})", value) if isinstance(value, str) else None
    sides = (int(written[1]), int(written[2])) if written is not None else ()
    if not sides or any(side not in SIDES or side % 2 for side in sides):
        raise invalid(
            "size",
            f"'size' must be WIDTHxHEIGHT, both even and within 16..4096, not {_quoted(value)}.",
        )
    return f"{sides[0]}x{sides[1]}"


def _picture(request: Request, fields: Mapping[str, Any], dialect: Dialect) -> bytes | None:
    part = request.files.get("input_reference")
    if part is not None:
        if part.mimetype not in IMAGE_TYPES:
            raise invalid(
                "input_reference",
                f"'input_reference' must be one of {', '.join(IMAGE_TYPES)}, "
                f"not {_quoted(part.mimetype)}.",
                "invalid_type",
            )
        return bytes(part.read())
    reference = fields.get("input_reference")
    if reference is None:
        return None
    if dialect.references_are_text:
        if not isinstance(reference, str):
            raise invalid("input_reference", "'input_reference' must be a string.", "invalid_type")
        return _referenced({"image_url": reference})
    if not isinstance(reference, dict):
        message = "Invalid type for 'input_reference': expected a file, but got a string instead."
        raise invalid("input_reference", message, "invalid_type")
    return _referenced(reference)


def _referenced(reference: Mapping[str, Any]) -> bytes | None:
    """The bytes of a data URL. Other addresses and files are accepted, but never fetched."""
    url, file_id = reference.get("image_url"), reference.get("file_id")
    if (url is None) == (file_id is None) or not isinstance(url or file_id, str):
        raise invalid(
            "input_reference", "Give exactly one of 'image_url' and 'file_id', as a string."
        )
    if url is None:
        return None
    if len(url) > LONGEST_IMAGE_URL:
        message = f"'image_url' may have at most {LONGEST_IMAGE_URL} characters."
        raise invalid("input_reference.image_url", message)
    if not url.startswith("data:"):
        if not url.startswith(("http://", "https://")):
            raise invalid(
                "input_reference.image_url", "'image_url' must be an http(s) or data URL."
            )
        return None
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise invalid("input_reference.image_url", "'image_url' is no base64 data URL.") from None


def _source(request: Request, fields: Mapping[str, Any]) -> str | None:
    """The id in `video: {"id": …}`, which a form may also hold as JSON text."""
    video = fields.get("video")
    if isinstance(video, str):
        try:
            video = json.loads(video)
        except ValueError:
            video = {"id": video}
    if isinstance(video, dict) and isinstance(video.get("id"), str):
        return str(video["id"])
    if video is not None:
        raise invalid("video", "'video' must be a file or an object with an 'id'.", "invalid_type")
    return None


def _fingerprint(path: str, fields: Mapping[str, Any], picture: bytes | None) -> str:
    body = json.dumps([path, fields], sort_keys=True, default=str).encode()
    return hashlib.sha256(body + hashlib.sha256(picture or b"").digest()).hexdigest()


def _quoted(value: object) -> str:
    return repr(value)[:60]
