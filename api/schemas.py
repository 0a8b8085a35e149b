"""What requests may bring, as models: they validate, and `openapi` describes them.

Unknown fields are refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from api.fields import (
    STORABLE,
    UNSET,
    WHOLE,
    EventId,
    Metadata,
    Moment,
    Name,
    Prompt,
    Seconds,
    ShortText,
    UserId,
    WebhookUrl,
    soon,
    split,
)
from orchestrator.accounts import MAX_RATE
from orchestrator.db.videos import Filters
from orchestrator.errors import InvalidRequest
from orchestrator.lifecycle import EventType, Status
from orchestrator.wishes import InputFile, VideoRequest

_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII)


class Body(BaseModel):
    """A JSON body: no silent conversions, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """A query string: all values are texts, unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class ImageReference(Body):
    """A reference image inside a JSON body."""

    image_url: str = Field(
        description="data:<type>;base64,<data>; at most 20 MiB when sent as a file of a form"
    )

    def file(self) -> InputFile:
        """The image. Raises InvalidRequest unless it is a base64 data URL."""
        match = _DATA_URL.match(self.image_url)
        try:
            if match is None:
                raise ValueError
            return InputFile(base64.b64decode(self.image_url[match.end() :], validate=True))
        except (ValueError, binascii.Error):
            raise InvalidRequest(
                "input_reference.image_url must be a URL of the form data:image/png;base64,….",
                param="input_reference.image_url",
            ) from None


class CreateVideo(Body):
    """What `POST /api/videos` takes."""

    prompt: Prompt
    model: str | None = Field(None, description="One of GET /api/models; the default is sora-2.")
    seconds: Seconds | None = Field(
        None, description="The length; what is allowed depends on the model."
    )
    size: str | None = Field(
        None, description="WIDTHxHEIGHT; what is allowed depends on the model."
    )
    quality: Name | None = None
    input_reference: ImageReference | None = None
    metadata: Metadata | None = Field(None, description="Yours: kept and given back, never read.")
    priority: Annotated[int, Field(ge=-100, le=100), WHOLE] = 0
    run_at: Annotated[Moment, AfterValidator(soon)] | None = Field(
        None, description="Not before this time."
    )
    webhook_url: WebhookUrl | None = Field(
        None, description="An https address that is told how it ends."
    )

    def request(self, image: InputFile | None = None) -> VideoRequest:
        """The same for the use case. Raises InvalidRequest for an image that cannot be read."""
        if image is None and self.input_reference is not None:
            image = self.input_reference.file()
        return VideoRequest(
            prompt=self.prompt,
            model=self.model,
            seconds=self.seconds,
            size=self.size,
            quality=self.quality,
            input_reference=image,
            metadata=self.metadata or {},
            priority=self.priority,
            run_at=self.run_at,
            webhook_url=self.webhook_url,
        )


class RemixVideo(Body):
    """What `POST /api/videos/{id}/remix` takes."""

    prompt: Prompt
    webhook_url: WebhookUrl | None = Field(
        None, description="An https address that is told how it ends."
    )


class ListVideos(Query):
    """Which videos, and how many of them."""

    status: Annotated[tuple[Status, ...], BeforeValidator(split)] = ()
    model: Name | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    q: ShortText | None = Field(None, description="Text that the prompt contains, in any case.")
    user_id: UserId | None = Field(None, description="Whose instead of yours; for admins.")
    archived: Literal["true", "false", "any"] = "false"
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None

    def filters(self) -> Filters:
        """The same for the use case."""
        return Filters(
            status=tuple(self.status),
            model=self.model,
            created_after=self.created_after,
            created_before=self.created_before,
            q=self.q,
            archived={"true": True, "false": False, "any": None}[self.archived],
        )


class Download(Query):
    """Which of the files of a video."""

    variant: Literal["video", "thumbnail", "spritesheet"] = "video"


class VideoHistory(Query):
    """Which part of a video's history."""

    after: EventId = Field(0, description="Only what is newer than this event.")
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000


class StreamStart(Query):
    """From where on to tell."""

    after: str | None = Field(
        None, max_length=200, description="The id of the last event that is known."
    )


class Scope(Query):
    """Whose: one's own, or, for admins, everybody's or those of one user."""

    scope: Literal["mine", "all"] = "mine"
    user_id: UserId | None = Field(None, description="This one's; for admins.")


class RecentEvents(Scope):
    """Which events."""

    types: Annotated[tuple[EventType, ...], BeforeValidator(split)] = ()
    before: EventId | None = Field(
        None, description="Only what is older than the event with this id."
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class QuotaLimits(Body):
    """What `PUT /api/users/{id}/quota` sets; fields that are missing stay as they are."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    videos_limit: Annotated[int, Field(ge=0, le=2_000_000_000), WHOLE] = UNSET
    cost_limit: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        None, description="US dollars a month; null: no limit."
    )
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = Field(
        None, description="null: no limit."
    )
    weight: Annotated[float, Field(ge=0.001, le=1000, allow_inf_nan=False)] = UNSET

    @model_validator(mode="after")
    def _some(self) -> QuotaLimits:
        if not self.model_fields_set:
            raise ValueError(
                "must set at least one of videos_limit, cost_limit, max_in_flight, weight"
            )
        return self

    def limits(self) -> dict[str, Any]:
        """What was given, for the use case."""
        given = self.model_dump(exclude_unset=True)
        if given.get("cost_limit") is not None:
            given["cost_limit"] = Decimal(str(given["cost_limit"]))
        return given


class CreateKey(Body):
    """What `POST /api/admin/keys` takes."""

    user_id: UserId
    role: Literal["user", "admin"] = "user"
    name: Annotated[str, StringConstraints(max_length=200), *STORABLE] | None = None
    expires_at: Moment | None = None
    scopes: list[Literal["read", "write", "admin"]] | None = Field(
        None, description="What it is for; by default all that the role may.", min_length=1
    )
    rate_limit: Annotated[int, Field(ge=1, le=MAX_RATE), WHOLE] | None = Field(
        None, description="Requests a minute; by default RATE_LIMIT_RPM."
    )


class ListKeys(Query):
    """Whose keys."""

    user_id: UserId | None = None


class Limit(Query):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
