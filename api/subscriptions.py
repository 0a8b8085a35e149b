"""What requests about webhooks bring and get, as models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from api.answers import Answer
from api.fields import UNSET, EventId, Moment, ShortText, WebhookUrl
from api.schemas import Body, Query
from orchestrator.endpoints import DEFAULT_EVENTS, OVERLAP_HOURS
from orchestrator.lifecycle import WEBHOOK_TYPES

EndpointId = Annotated[str, StringConstraints(pattern=r"^we_[0-9a-f]{32}$")]
VideoId = Annotated[str, StringConstraints(pattern=r"^video_[0-9a-f]{32}$")]
State = Literal["pending", "delivered", "failed"]


def _known(value: str) -> str:
    if value not in WEBHOOK_TYPES:
        raise ValueError(f"must be some of {', '.join(WEBHOOK_TYPES)}")
    return value


WebhookType = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(WEBHOOK_TYPES)})
]
Events = Annotated[list[WebhookType], Field(min_length=1, max_length=len(WEBHOOK_TYPES))]


class CreateEndpoint(Body):
    """What `POST /api/webhooks/endpoints` takes."""

    url: WebhookUrl = Field(description="An https address of a public host.")
    events: Events = Field(
        list(DEFAULT_EVENTS), description="What to tell it; how videos end, if not given."
    )
    description: ShortText | None = None


class ChangeEndpoint(Body):
    """What `PATCH /api/webhooks/endpoints/{id}` takes; fields that are missing stay as they are."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    url: WebhookUrl = UNSET
    events: Events = UNSET
    description: ShortText | None = None
    disabled: bool = Field(UNSET, description="true switches it off, false on again.")

    @model_validator(mode="after")
    def _some(self) -> ChangeEndpoint:
        if not self.model_fields_set:
            raise ValueError("must set at least one of url, events, description, disabled")
        return self

    def values(self) -> dict[str, Any]:
        """The columns to set."""
        return self.model_dump(exclude_unset=True, exclude={"disabled"})


class RotateSecret(Body):
    """What rotating a secret takes."""

    overlap_hours: Annotated[float, Field(ge=0, le=168, allow_inf_nan=False)] = Field(
        OVERLAP_HOURS, description="For so long the old secret signs, too; 0 ends it at once."
    )


class Replay(Body):
    """What `POST /api/webhooks/endpoints/{id}/replay` takes: events from `since` to before
    `until`.
    """

    since: Moment
    until: Moment = Field(default_factory=lambda: datetime.now(UTC), description="Now, without.")


class ListDeliveries(Query):
    """Which deliveries."""

    endpoint_id: EndpointId | None = None
    video_id: VideoId | None = None
    state: State | None = None
    type: Literal["endpoint.ping"] | WebhookType | None = None
    before: EventId | None = Field(None, description="Only what is older than this delivery.")
    limit: Annotated[int, Field(ge=1, le=1000)] = 50

    def filters(self) -> dict[str, Any]:
        """The same for the use case."""
        return self.model_dump(exclude_none=True, exclude={"before", "limit"})


class WebhookEndpoint(Answer):
    """An address that is told of events. `failing_since` is set while it does not answer 2xx; after
    five days it is disabled, and `disabled_reason` says so.
    """

    object: Literal["webhook_endpoint"]
    id: str
    user_id: str
    url: str
    events: list[str]
    description: str | None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    previous_secret_until: datetime | None


class NewWebhookEndpoint(WebhookEndpoint):
    """An endpoint with the secret that signs what it is told."""

    secret: str


class WebhookEndpoints(Answer):
    """All endpoints of a user."""

    data: list[WebhookEndpoint]


class WebhookSecret(Answer):
    """The secret that signs what goes to the `webhook_url` of single videos."""

    object: Literal["webhook_secret"]
    secret: str
    previous_secret_until: datetime | None


class WebhookDelivery(Answer):
    """One message to one receiver. `webhook_id` is the same each time it is sent."""

    object: Literal["webhook_delivery"]
    id: int
    webhook_id: str
    endpoint_id: str | None
    url: str | None = Field(description="Of a single video; null: the endpoint's.")
    video_id: str | None
    type: str
    state: State
    attempts: int
    created_at: datetime
    due_at: datetime | None
    last_attempt_at: datetime | None
    delivered_at: datetime | None
    status_code: int | None = Field(description="The last answer's; null without one.")
    response: str | None = Field(description="Its first 500 bytes.")
    error: str | None


class WebhookDeliveries(Answer):
    """Some deliveries; `next_cursor` goes into `before`."""

    data: list[WebhookDelivery]
    next_cursor: str | None


class Replayed(Answer):
    """How many messages wait to be sent."""

    queued: int


class Received(Answer):
    """The message has been taken."""

    received: Literal[True]
