"""What answers look like, for the documentation.

A test client holds every answer of the test suite against it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.lifecycle import EventType, Kind, QuotaState, Status


class Answer(BaseModel):
    """Has exactly these members; any may be null that says so."""

    # Built for the documentation only, so not at every start.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class VideoError(Answer):
    """Why a video failed."""

    code: str | None
    message: str | None


class Video(Answer):
    """A video. Times are RFC 3339, money is US dollars."""

    object: Literal["video"]
    id: str
    user_id: str
    model: str
    status: Status
    progress: int = Field(description="0 to 100.")
    prompt: str
    size: str
    seconds: str
    quality: str | None
    kind: Kind
    remixed_from_video_id: str | None
    retry_of: str | None
    file_url: str | None
    thumbnail_url: str | None
    content_type: str | None
    content_bytes: int | None
    content_sha256: str | None
    error_code: str | None
    error_message: str | None
    error: VideoError | None
    hold_reason: str | None
    priority: int
    quota_state: QuotaState
    webhook_url: str | None
    seq: int = Field(description="Grows with every change.")
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    deadline_at: datetime | None
    run_at: datetime | None
    archived_at: datetime | None
    deleted_at: datetime | None
    metadata: dict[str, Any]
    cost_estimated: float | None
    cost_actual: float | None


class VideoPage(Answer):
    """Some videos; `next_cursor` asks for the next ones."""

    data: list[Video]
    next_cursor: str | None


class Videos(Answer):
    """Some videos."""

    data: list[Video]


class Event(Answer):
    """One thing that happened. `seq` numbers the changes of one video; null for audit events."""

    object: Literal["event"]
    id: int
    video_id: str
    event_type: EventType
    event_data: dict[str, Any]
    created_at: datetime
    seq: int | None
    user_id: str


class Events(Answer):
    """A history."""

    data: list[Event]


class EventPage(Answer):
    """Some events; `next_cursor` goes into `before`."""

    data: list[Event]
    next_cursor: str | None


class Quota(Answer):
    """What a user may have this month. Costs are US dollars."""

    user_id: str
    videos_created: int
    videos_limit: int
    used: int
    limit: int
    remaining: int
    reset_at: datetime
    cost_used: float
    cost_limit: float | None
    max_in_flight: int | None
    weight: float
    created_at: datetime
    updated_at: datetime


class Stats(Answer):
    """Counts by status, and the spend in US dollars."""

    total: int
    queued: int
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    archived: int
    spend: float


class Model(Answer):
    """A model: either the allowed values, or the limits between which all are allowed."""

    id: str
    provider: str
    profile: str
    seconds: dict[str, Any]
    default_seconds: str
    sizes: dict[str, Any]
    default_size: str
    price_per_second: float
    price_per_second_by_size: dict[str, float]
    remix: bool
    edit: bool
    extension: bool
    input_reference: bool
    quality: bool


class Models(Answer):
    """All models."""

    data: list[Model]


class Key(Answer):
    """An API key without its secret."""

    object: Literal["api_key"]
    id: str
    prefix: str
    user_id: str
    role: Literal["user", "admin"]
    name: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    scopes: list[Literal["read", "write", "admin"]]
    rate_limit: int | None = Field(description="Requests a minute; null: the default.")


class NewKey(Key):
    """A key that was just made."""

    secret: str


class Keys(Answer):
    """Some API keys."""

    data: list[Key]


class Cache(Answer):
    """How the cache does; only `connected` while Redis is away."""

    connected: bool
    videos: int | None = None
    hits: int | None = None
    misses: int | None = None
    memory_bytes: int | None = None


class Cleared(Answer):
    """How many videos were in the cache."""

    removed: int


class Health(Answer):
    """The process lives."""

    status: Literal["ok"]


class Readiness(Answer):
    """Each check is `ok`, or says what is wrong."""

    status: Literal["ready", "unavailable"]
    checks: dict[str, str]


class ErrorObject(Answer):
    """The error as the OpenAI API shows one."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Answer):
    """An error as the OpenAI API shows one."""

    error: ErrorObject


class Problem(BaseModel):
    """An error (RFC 9457). A quota error also has `used`, `limit`, `remaining` and `reset_at`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    error: ErrorObject
