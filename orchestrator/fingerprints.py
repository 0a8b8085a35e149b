"""What makes two requests the same: hashes over canonical JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any

from orchestrator.records import Video


def fingerprint(body: Mapping[str, Any]) -> str:
    """sha256 (hex) of a validated, defaulted body; files stand in it as their own hashes."""
    return sha256(_canonical(body)).hexdigest()


def of_create(body: Mapping[str, Any]) -> str:
    """The same of a create. What goes around its prompt is nearly always the same, and is made
    once: a batch spent a seventh of its time here.
    """
    # Equal times are written in different ways.
    if body["metadata"] or body["run_at"] is not None:
        return fingerprint(body)
    before, after = _around_prompt(
        **{name: value for name, value in body.items() if name not in _OF_ITS_OWN}
    )
    prompt = encode_basestring(body["prompt"]).encode("utf-8", "surrogatepass")
    return sha256(before + prompt + after).hexdigest()


_OF_ITS_OWN = frozenset({"prompt", "metadata"})
_KEPT = 1024


@lru_cache(_KEPT, typed=True)
def _around_prompt(**others: Any) -> tuple[bytes, bytes]:
    """What the canonical text of a create with an empty document has before and behind its prompt,
    whose name is neither its first nor its last one.
    """
    before = _canonical({"metadata": {}} | {n: v for n, v in others.items() if n < "prompt"})
    after = _canonical({n: v for n, v in others.items() if n > "prompt"})
    return before[:-1] + b',"prompt":', b"," + after[1:]


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
