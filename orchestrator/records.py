"""The rows that travel between the database and the use cases: frozen, in the order of their
columns.

Times are aware datetimes; money is `Decimal` US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class Video(NamedTuple):
    """A row of `videos`; schema.sql says what each column means.

    A tuple: a frozen dataclass of so many fields takes five times as long to make.
    """

    id: str
    user_id: str
    model: str
    status: str
    progress: int
    prompt: str
    size: str
    seconds: str
    quality: str | None
    remixed_from_video_id: str | None
    file_url: str | None
    thumbnail_url: str | None
    error_message: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    expires_at: datetime | None
    metadata: Mapping[str, Any]
    kind: str
    step: str | None
    due_at: datetime | None
    rung_at: datetime | None
    admitted_at: datetime | None
    lease_token: str | None
    lease_until: datetime | None
    seq: int
    provider: str
    account: str
    finished_at: datetime | None
    deadline_at: datetime | None
    run_at: datetime | None
    priority: int
    rank_at: datetime
    fingerprint: str
    api_key_id: str | None
    first_fetched_at: datetime | None
    retry_of: str | None
    archived_at: datetime | None
    deleted_at: datetime | None
    purged_at: datetime | None
    hold_reason: str | None
    error_code: str | None
    failures: int
    cost_estimated: Decimal
    cost_actual: Decimal
    quota_state: str
    quota_period: datetime
    webhook_url: str | None
    input_key: str | None
    input_sha256: str | None
    input_bytes: int | None
    input_type: str | None
    content_key: str | None
    content_sha256: str | None
    content_bytes: int | None
    content_type: str | None
    thumbnail_key: str | None
    spritesheet_key: str | None
    missing_since: datetime | None
    last_polled_at: datetime | None
    extension_seconds: str | None
    sdk_tries: int
    snoozed: bool
    candidates: Sequence[str] | None
    waits_lane: str | None
    pictures_due_at: datetime | None
    pictures_tries: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `attempts`: one submission to a provider."""

    video_id: str
    n: int
    provider: str
    account: str
    lane: str | None
    state: str
    sent_at: datetime
    accepted_at: datetime | None
    unknown_at: datetime | None
    looks: int
    looked_at: datetime | None
    provider_video_id: str | None
    canonical_id: str | None
    http_status: int | None
    error: str | None
    upstream_status: str | None
    content_expires_at: datetime | None
    cost: Decimal | None
    detached: bool
    missing_since: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    rung_at: datetime | None
    lease_token: str | None
    lease_until: datetime | None
    shown: str | None
    adopt_id: str | None
    user_id: str | None

    @property
    def id(self) -> str:
        """What we send to the provider as Idempotency-Key: the same for one attempt, whoever
        repeats it.
        """
        return f"{self.video_id}-{self.n}"


@dataclass(frozen=True, slots=True)
class Event:
    """A row of `video_events`. `seq` is None for audit events."""

    id: int
    video_id: str
    event_type: str
    event_data: Mapping[str, Any]
    created_at: datetime
    seq: int | None
    user_id: str


@dataclass(frozen=True, slots=True)
class Quota:
    """A row of `user_quotas`, as of now: a month that has ended counts as used by nobody."""

    user_id: str
    videos_created: int
    videos_limit: int
    reset_at: datetime
    created_at: datetime
    updated_at: datetime
    period_started_at: datetime
    weight: float
    max_in_flight: int | None
    cost_used: Decimal
    cost_limit: Decimal | None

    @property
    def remaining(self) -> int:
        """Videos that may still be asked for this month."""
        return max(0, self.videos_limit - self.videos_created)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A row of `api_keys` without its hash."""

    id: str
    prefix: str
    user_id: str
    role: str
    name: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    scopes: Sequence[str] | None
    rate_limit: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the user, with which rights, by which key (None without keys), in which request.

    `scopes`: None: all of the role. `rate_limit`: requests a minute; None: the default.
    """

    user_id: str
    role: str = "user"
    api_key_id: str | None = None
    request_id: str | None = None
    scopes: frozenset[str] | None = None
    rate_limit: int | None = None

    @property
    def admin(self) -> bool:
        """Whether this caller may see and change what belongs to others."""
        return self.role == "admin"

    def has(self, scope: str) -> bool:
        """Whether the key is for this, too."""
        return self.scopes is None or scope in self.scopes


@dataclass(frozen=True, slots=True)
class Act:
    """A row of `audit_log`: what somebody did with the rights of an admin. `user_id` None: at the
    command line. `subject` is a user, or the id of what was acted on.
    """

    id: int
    created_at: datetime
    user_id: str | None
    api_key_id: str | None
    request_id: str | None
    action: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A row of `providers`: what we have learnt of one account at one provider."""

    name: str
    account: str
    paused_until: datetime | None
    pause_reason: str | None
    pauses: int
    polls_paused_until: datetime | None
    rate_tokens: float | None
    rate_at: datetime | None
    durations: Mapping[str, list[float]]
    unclaimed: int
    duplicates: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of `webhook_endpoints`. `url` is None for the one whose secrets sign what goes to the
    addresses of single videos.
    """

    id: str
    user_id: str
    url: str | None
    events: Sequence[str]
    description: str | None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    secret: str = field(repr=False)
    previous_secret: str | None = field(repr=False)
    previous_until: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of `deliveries`: one message about one event, to one receiver."""

    id: int
    message_id: str
    endpoint_id: str | None
    url: str | None
    target: str
    user_id: str
    video_id: str | None
    type: str
    data: Mapping[str, Any]
    event_at: datetime
    state: str
    attempts: int
    due_at: datetime | None
    created_at: datetime
    last_attempt_at: datetime | None
    delivered_at: datetime | None
    status_code: int | None
    response: str | None
    error: str | None
    lease_token: str | None
    lease_until: datetime | None
