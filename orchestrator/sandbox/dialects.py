"""Whose server the sandbox imitates, as data: one row per server, one field per deviation.

The plain row is the published protocol. What a row does not mention is as published. The rows say
what those servers were seen to do, faults included; they are not meant to be an improvement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

DAY = 86_400.0
HOUR = 3_600.0
NO_NAMES: Mapping[str, str] = {}

IdStyle = Literal["openai", "azure", "uuid", "video_gen", "short", "uuid7", "litellm", "bifrost"]
Progress = Literal["percent", "fraction", "ends", "null", "absent"]
ListShape = Literal["paged", "bare", "whole", "by_provider", "refused"]
DeleteReply = Literal["openai", "flag", "job"]
ErrorShape = Literal["object", "string", "uncoded", "numbered"]
Envelope = Literal["openai", "status_code", "detail", "bifrost", "flat"]
Variants = Literal["all", "ignored", "index", "video_only"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server deviates from the published protocol."""

    name: str
    # ── creating
    encodings: frozenset[str] = frozenset({"multipart", "json"})
    create_status: int = 200
    # A reference image in JSON is a text (its URL), not an object that names one.
    references_are_text: bool = False
    ids: IdStyle = "openai"
    # Where set, any other size is silently replaced by the first of these.
    known_sizes: tuple[str, ...] = ()
    max_concurrent: int = 0
    honours_idempotency_key: bool = False
    # ── the job object
    status_names: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)
    progress: Progress = "percent"
    # `duration` instead of `seconds`, as a float.
    tells_duration: bool = False
    echoes_prompt: bool = True
    error: ErrorShape = "object"
    # GET of a failed job answers with that HTTP status (of its error) and the job as the body.
    failed_get_is_http_error: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)
    poll_hint: bool = False
    # ── list, delete, further kinds
    listing: ListShape = "paged"
    has_delete: bool = True
    # Whether deleting a running job stops it; where not, it goes on unseen and takes a slot.
    delete_cancels: bool = True
    delete_reply: DeleteReply = "openai"
    has_remix: bool = False
    has_edits: bool = False
    # ── content
    variants: Variants = "all"
    not_ready_status: int = 404
    failed_content_status: int = 404
    retention_seconds: float | None = None
    # ── the server itself
    envelope: Envelope = "openai"
    prefixes: tuple[str, ...] = ("/v1",)
    # Jobs live in one process's memory: a restart loses them, whatever folder is given.
    forgets: bool = False


OPENAI_SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024", "1080x1920", "1920x1080")
NEVER_IN_PROGRESS = {"in_progress": "queued"}

_ROWS = (
    Dialect("sandbox", has_remix=True, has_edits=True, poll_hint=True, retention_seconds=DAY),
    Dialect("openai", has_remix=True, has_edits=True, poll_hint=True, retention_seconds=HOUR),
    Dialect(
        "azure",
        ids="azure",
        max_concurrent=2,
        has_remix=True,
        retention_seconds=DAY,
        prefixes=("/v1", "/openai/v1"),
    ),
    Dialect(
        "litellm",
        ids="litellm",
        status_names={"in_progress": "processing"},
        progress="null",
        echoes_prompt=False,
        listing="refused",
        has_delete=False,
        has_remix=True,
        has_edits=True,
        variants="ignored",
        envelope="status_code",
    ),
    Dialect(
        "sglang",
        ids="uuid",
        status_names=NEVER_IN_PROGRESS,
        progress="ends",
        echoes_prompt=False,
        error="uncoded",
        extras={"url": None, "file_path": None, "num_outputs": 1, "inference_time_s": None},
        listing="bare",
        delete_cancels=False,
        delete_reply="job",
        variants="index",
        envelope="detail",
        forgets=True,
    ),
    Dialect(
        "vllm-omni",
        encodings=frozenset({"multipart"}),
        ids="video_gen",
        error="numbered",
        failed_get_is_http_error=True,
        extras={"media_type": "video/mp4", "file_name": None, "inference_time_s": None},
        variants="ignored",
        failed_content_status=422,
        envelope="detail",
        forgets=True,
    ),
    Dialect(
        "bifrost",
        encodings=frozenset({"json"}),
        references_are_text=True,
        ids="bifrost",
        known_sizes=OPENAI_SIZES,
        progress="fraction",
        listing="by_provider",
        has_remix=True,
        not_ready_status=400,
        envelope="bifrost",
    ),
    Dialect(
        "trtllm",
        create_status=202,
        ids="short",
        status_names=NEVER_IN_PROGRESS,
        progress="absent",
        tells_duration=True,
        error="string",
        extras={"output_path": None, "fps": 24},
        listing="whole",
        delete_reply="flag",
        variants="ignored",
        not_ready_status=400,
        failed_content_status=400,
        envelope="flat",
        forgets=True,
    ),
    Dialect(
        "fastvideo",
        ids="video_gen",
        progress="ends",
        extras={"media_type": "video/mp4", "file_name": None, "inference_time_s": None},
        delete_cancels=False,
        variants="video_only",
        failed_content_status=422,
        envelope="detail",
        forgets=True,
    ),
    Dialect(
        "orchestrator",
        ids="uuid7",
        honours_idempotency_key=True,
        poll_hint=True,
        has_remix=True,
        has_edits=True,
    ),
)

DIALECTS: Mapping[str, Dialect] = {row.name: row for row in _ROWS}
