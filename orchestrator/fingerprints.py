"""What makes two requests the same: hashes over canonical JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from orchestrator.records import Video


def fingerprint(body: Mapping[str, Any]) -> str:
    """sha256 (hex) of a validated, defaulted body; files stand in it as their own hashes."""
    return sha256(_canonical(body)).hexdigest()


def lane(video: Video, shown: frozenset[str], upstream_model: str) -> str:
    """The part of a request that a provider's list shows, as a hash: look-alikes share it."""
    fields = {
        "model": upstream_model,
        "seconds": video.seconds,
        "size": video.size,
        "prompt": plain(video.prompt),
    }
    return sha256(_canonical({name: fields[name] for name in shown & fields.keys()})).hexdigest()[
        :32
    ]


def plain(prompt: str) -> str:
    """A prompt in the form in which prompts are compared: trimmed, NFC."""
    return unicodedata.normalize("NFC", prompt).strip()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    ).encode("utf-8", "surrogatepass")
