"""What operators' requests bring and get, as models: providers, bulk retries, held videos."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.answers import Answer, Video
from api.fields import WHOLE, EventId, Moment, Name, ProviderVideoId, ShortText, UserId
from api.schemas import Body, Query
from orchestrator.audit import Action
from orchestrator.db.videos import Filters
from orchestrator.lifecycle import Status
from orchestrator.retries import MAX_RETRIES


class Pause(Body):
    """What `POST /api/admin/providers/{name}/pause` takes."""

    reason: ShortText = Field("paused by an operator", description="Shown to other operators.")


class ProviderOverview(Answer):
    """A configured provider. `paused_until` is null for a pause that an operator has to lift."""

    name: str
    profile: str
    account: str
    max_in_flight: int | None
    rpm: int | None
    in_flight: int = Field(description="Attempts that hold a slot, watched ones included.")
    admitted: int = Field(description="Videos that have a slot and are not submitted yet.")
    paused: bool
    paused_until: datetime | None
    pause_reason: str | None
    unclaimed: int = Field(description="Videos in its list that nobody here asked for.")
    duplicates: int = Field(description="Late successes of attempts whose video had moved on.")


class ProviderOverviews(Answer):
    """All configured providers."""

    data: list[ProviderOverview]


class Queue(Answer):
    """Videos that are not finished. Scheduled and held ones are not among the queued."""

    queued: int
    scheduled: int = Field(description="They may not be submitted yet, by their `run_at`.")
    held: int = Field(description="They wait for an operator.")
    in_progress: int
    oldest_at: datetime | None = Field(description="Since when the oldest queued one waits.")


class Span(Query):
    """Which time."""

    minutes: Annotated[int, Field(ge=1, le=180)] = 60


class Minute(Answer):
    """What happened in the minute that begins `at`."""

    at: datetime
    created: int
    completed: int
    failed: int
    cancelled: int


class Throughput(Answer):
    """One entry for each minute."""

    data: list[Minute]


class ListActs(Query):
    """Which acts."""

    user_id: UserId | None = Field(None, description="By whom.")
    action: Action | None = None
    subject: UserId | None = Field(None, description="A user, or the id of a thing.")
    before: EventId | None = Field(None, description="Only what is older than the act of this id.")
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Act(Answer):
    """What somebody did with the rights of an admin. `user_id` null: at the command line."""

    id: int
    created_at: datetime
    user_id: str | None
    api_key_id: str | None
    request_id: str | None
    action: Action
    subject: str = Field(description="A user, or the id of what was acted on.")
    data: dict[str, Any]


class ActPage(Answer):
    """Some acts; `next_cursor` goes into `before`."""

    data: list[Act]
    next_cursor: str | None


class RetryVideos(Body):
    """What `POST /api/admin/retries` takes: which videos."""

    status: Literal["failed", "cancelled"] = "failed"
    user_id: UserId | None = Field(None, description="Whose; everybody's without it.")
    model: Name | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_RETRIES), WHOLE] = 100

    def filters(self) -> Filters:
        """The same for the use case."""
        return Filters(
            status=(Status(self.status),),
            model=self.model,
            created_after=self.created_after,
            created_before=self.created_before,
            archived=None,
        )


class RetryRefusal(Answer):
    """Why a video could not be retried."""

    code: str
    message: str


class RetriedVideo(Answer):
    """What became of one of them: the new video, or why there is none."""

    source_id: str
    video: Video | None
    error: RetryRefusal | None


class RetriedVideos(Answer):
    """All that the filters have found."""

    data: list[RetriedVideo]


class Decision(Body):
    """What `POST /api/admin/held/{id}` takes."""

    decision: Literal["adopt", "retry", "fail"]
    provider_video_id: ProviderVideoId | None = Field(
        None, description="For adopt: the id that the provider knows it by."
    )


class UnknownAttempt(Answer):
    """A submission of which nobody knows whether the provider took it."""

    n: int
    provider: str
    account: str
    sent_at: datetime
    unknown_at: datetime | None
    looks: int = Field(description="How often the provider's list was searched for it.")
    http_status: int | None
    error: str | None


class HeldVideo(Video):
    """A video that waits for an operator, and why."""

    attempt: UnknownAttempt


class HeldVideos(Answer):
    """Some held videos."""

    data: list[HeldVideo]
