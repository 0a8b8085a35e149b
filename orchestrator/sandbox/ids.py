"""Ids as the imitated servers make them, and what they show of them where.

Inside the sandbox a job has one id. LiteLLM and Bifrost show it wrapped, LiteLLM even differently
in each call; `inner_id` finds the job whichever form a client kept.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from typing import Literal

from orchestrator.sandbox.dialects import IdStyle

Place = Literal["create", "retrieve", "list"]


def new_id(style: IdStyle, now: float) -> str:
    """A fresh id; `now` (unix seconds) is in those that are ordered by time."""
    if style == "uuid":
        return str(uuid.uuid4())
    if style == "uuid7":
        return f"video_{_uuid7(now).hex}"
    if style == "video_gen":
        return f"video_gen_{secrets.token_hex(16)}"
    return f"video_{secrets.token_hex(16 if style in {'azure', 'short'} else 24)}"


def public_id(inner: str, style: IdStyle, place: Place, model: str) -> str:
    """What a client gets to see of `inner` in the reply to that kind of call."""
    if style == "bifrost":
        return f"{inner}:openai"
    if style != "litellm":
        return inner
    # Only a create knows the deployment; a list does not even know the model.
    model_id = {"create": f"deployment-of-{model}", "retrieve": "", "list": model}[place]
    parts = ["litellm:custom_llm_provider:openai", f"model_id:{model_id}", f"video_id:{inner}"]
    if place == "create":
        parts.append(f"deployment_id:{model}")
    return "video_" + base64.b64encode(";".join(parts).encode()).decode()


def inner_id(shown: str, style: IdStyle) -> str:
    """The sandbox's own id in what a client sent; text that is none comes back as it is."""
    if style == "bifrost":
        return shown.partition(":")[0]
    parts = _wrapped(shown) if style == "litellm" else {}
    return parts.get("video_id", shown)


def leads_elsewhere(shown: str, style: IdStyle) -> bool:
    """Whether a LiteLLM proxy would ask the vendor's own address for this id: it finds the
    deployment by the id, and only a create's names one.
    """
    return style == "litellm" and not _wrapped(shown).get("model_id")


def _wrapped(shown: str) -> dict[str, str]:
    """What is inside an id of LiteLLM's; nothing for any other text."""
    if not shown.startswith("video_"):
        return {}
    try:
        decoded = base64.b64decode(shown.removeprefix("video_"), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in (part.partition(":") for part in decoded.split(";"))}


def _uuid7(now: float) -> uuid.UUID:
    """Time-ordered, as RFC 9562 lays it out: 48 bits of milliseconds, then chance."""
    value = (int(now * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
