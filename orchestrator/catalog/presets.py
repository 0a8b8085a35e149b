"""The profiles that ship with the orchestrator. A providers file may start from one and change
single facts.

Where versions of a server disagree, the preset takes the side that cannot cost money: fewer echoed
fields, no promise that DELETE cancels, a short retention.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from orchestrator.catalog.profile import Profile, SecondsRule, SizeRule

_SMALL = ("720x1280", "1280x720")
_LARGE = (*_SMALL, "1024x1792", "1792x1024", "1080x1920", "1920x1080")
_BEHIND_BALANCERS = 300.0

OPENAI = Profile(
    name="openai",
    echoes=frozenset({"model", "seconds", "size", "prompt"}),
    remix="remix",
    edits=True,
    extensions=True,
    variants=frozenset({"thumbnail", "spritesheet"}),
    seconds=SecondsRule(allowed=("4", "8", "12", "16", "20")),
    sizes=SizeRule(allowed=_LARGE, by_model={"sora-2": _SMALL}),
    poll_min_seconds=10.0,
)

AZURE = Profile(
    name="azure",
    # Its list shows deployment names as models, and no prompt.
    echoes=frozenset({"seconds", "size"}),
    remix="remix",
    variants=frozenset({"thumbnail", "spritesheet"}),
    seconds=SecondsRule(allowed=("4", "8", "12")),
    sizes=SizeRule(allowed=_SMALL),
    max_in_flight=2,
    poll_min_seconds=10.0,
    retention=timedelta(hours=24),
)

LITELLM = Profile(
    name="litellm",
    ids="litellm",
    # Its list drops paging and asks the vendor's own address instead of the configured one.
    list="none",
    has_delete=False,
    remix="remix",
    missing_grace_seconds=_BEHIND_BALANCERS,
)

SGLANG = Profile(
    name="sglang",
    # Old versions refuse a multipart create that carries no file; all of them read JSON.
    create_encoding="json",
    list="unpaged",
    echoes=frozenset({"model"}),
)

VLLM_OMNI = Profile(
    name="vllm-omni",
    echoes=frozenset({"seconds", "size", "prompt"}),
    delete_cancels=True,
)

BIFROST = Profile(
    name="bifrost",
    create_encoding="json",
    image_encoding="data_url",
    ids="bifrost",
    list_query={"provider": "openai"},
    echoes=frozenset({"seconds", "prompt"}),
    remix="remix",
    missing_grace_seconds=_BEHIND_BALANCERS,
)

TRTLLM = Profile(
    name="trtllm",
    list="unpaged",
    echoes=frozenset({"model", "seconds", "prompt"}),
    delete_cancels=True,
    containers=frozenset({"mp4", "avi"}),
)

FASTVIDEO = Profile(
    name="fastvideo",
    list="unpaged",
    echoes=frozenset({"model"}),
)

ORCHESTRATOR = Profile(
    name="orchestrator",
    echoes=frozenset({"model", "seconds", "size", "prompt"}),
    delete_cancels=True,
    remix="remix",
    variants=frozenset({"thumbnail", "spritesheet"}),
    quality=True,
    retention=timedelta(hours=24),
    on_unknown="resend",
)

SANDBOX = Profile(
    name="sandbox",
    echoes=frozenset({"model", "seconds", "size", "prompt"}),
    delete_cancels=True,
    remix="remix",
    edits=True,
    extensions=True,
    variants=frozenset({"thumbnail", "spritesheet"}),
    quality=True,
    poll_min_seconds=1.0,
    retention=timedelta(hours=24),
)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        OPENAI,
        AZURE,
        LITELLM,
        SGLANG,
        VLLM_OMNI,
        BIFROST,
        TRTLLM,
        FASTVIDEO,
        ORCHESTRATOR,
        SANDBOX,
    )
}
