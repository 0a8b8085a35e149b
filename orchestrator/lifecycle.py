"""What a video can be, what can happen to it, and which events tell of it.

    queued ──accept──▶ in_progress ──complete──▶ completed
       │                    │
       ├──fail──────────────┼──▶ failed
       └──cancel────────────┴──▶ cancelled
    completed | failed | cancelled ──delete──▶ deleted

Terminal statuses never go back. `orchestrator.db.transitions` is the only writer of a status,
and reads this table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """What people see of a video."""

    QUEUED = "queued"
    """We have it; the provider has not confirmed it yet."""
    IN_PROGRESS = "in_progress"
    """The provider works on it, or we are copying its result."""
    COMPLETED = "completed"
    """Its bytes lie, checked, in our own storage."""
    FAILED = "failed"
    """It will not come; `error_code` says why."""
    CANCELLED = "cancelled"
    """The user did not want it any longer."""
    DELETED = "deleted"
    """Hidden; its bytes are purged later."""


class Step(StrEnum):
    """What a worker must do next to a video."""

    SUBMIT = "submit"
    """Ask the provider for it."""
    POLL = "poll"
    """Ask the provider how far it is."""
    STORE = "store"
    """Copy its bytes into our own storage."""


class AttemptState(StrEnum):
    """What is known of one submission to a provider."""

    SENT = "sent"
    """The call is under way, or its caller died in it."""
    ACCEPTED = "accepted"
    """The provider gave an id."""
    REJECTED = "rejected"
    """Refused, or never delivered: it costs nothing."""
    UNKNOWN = "unknown"
    """The provider may have taken it; its list will tell."""
    ABANDONED = "abandoned"
    """Two clean looks did not find it."""


class HoldReason(StrEnum):
    """Why a queued video waits for an operator."""

    OUTCOME_UNKNOWN = "outcome_unknown"
    """The provider may have taken it, and has no list that could tell."""
    AMBIGUOUS = "ambiguous"
    """Its list shows too little: what is there may be this video, or another one."""
    ACCOUNT_GONE = "account_gone"
    """The account at the provider is configured no longer: nobody can ask there."""
    ADOPTING = "adopting"
    """An operator has named the provider's video; it is being looked at."""
    ADOPT_FAILED = "adopt_failed"
    """The video that an operator has named is not there, or is another one's."""


class QuotaState(StrEnum):
    """Whether a video counts against its month."""

    RESERVED = "reserved"
    """It counts, because it may still come."""
    KEPT = "kept"
    """It counts for good."""
    RELEASED = "released"
    """It no longer counts."""


class Kind(StrEnum):
    """How a video is asked for."""

    CREATE = "create"
    """From a prompt, perhaps with an image."""
    REMIX = "remix"
    """As a variation of a finished video of ours."""
    EDIT = "edit"
    """As a changed version of a video."""
    EXTENSION = "extension"
    """As a continuation of a video."""


class EventType(StrEnum):
    """What can be read in a video's history."""

    CREATED = "created"
    """Accepted: it was written and will be driven to its end."""
    REMIXED = "remixed"
    """It was asked for as a remix of another one."""
    RETRIED = "retried"
    """It was asked for again, in place of another one."""
    STATUS_CHANGED = "status_changed"
    """Its status went `from` one `to` the next."""
    PROGRESS = "progress"
    """The provider is further than before; 99 means that only copying is left."""
    COMPLETED = "completed"
    """Its bytes are here."""
    THUMBNAIL_READY = "thumbnail_ready"
    """Its thumbnail is here, too."""
    FAILED = "failed"
    """It will not come, with the `code` and `message` of the reason."""
    CANCELLED = "cancelled"
    """The user stopped it, at this `step` and this `cost`."""
    DELETED = "deleted"
    """`user_id` hid it."""
    ARCHIVED = "archived"
    """It was put out of the way."""
    UNARCHIVED = "unarchived"
    """It was put back."""
    HELD = "held"
    """An operator must decide, for this `reason`."""
    RELEASED = "released"
    """An operator's `decision` sets it going again."""
    CHARGED = "charged"
    """What an attempt cost became known after its video had gone its own way."""
    PURGED = "purged"
    """Its bytes were removed after their retention."""
    DOWNLOADED = "downloaded"
    """Somebody fetched its bytes."""


AUDIT_EVENTS = frozenset({EventType.DOWNLOADED})
"""Written best-effort and without a number: losing one loses no state."""

ENDING_EVENTS = (EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED, EventType.DELETED)
"""What the `webhook_url` of a video is told of."""

WEBHOOK_TYPES = tuple(
    f"video.{name}"
    for name in (
        EventType.CREATED,
        Status.IN_PROGRESS,
        *ENDING_EVENTS,
        EventType.THUMBNAIL_READY,
        EventType.HELD,
        EventType.CHARGED,
        EventType.PURGED,
    )
)
"""What an endpoint can be told of."""

LIVE = frozenset({Status.QUEUED, Status.IN_PROGRESS})
FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
TERMINAL = FINISHED | {Status.DELETED}

ALL_BUT_STORED = 99
"""The progress, in percent, of what the provider has finished and we do not have yet."""

OPEN_ATTEMPTS = frozenset({AttemptState.SENT, AttemptState.UNKNOWN})
"""States in which nobody knows yet whether the provider took it; `accepted` is open until it has
ended.
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """One permitted change of status: from where, to where, told by which events."""

    name: str
    sources: frozenset[Status]
    target: Status
    events: tuple[EventType, ...]


ACCEPT = Transition(
    "accept", frozenset({Status.QUEUED}), Status.IN_PROGRESS, (EventType.STATUS_CHANGED,)
)
ACCEPT_FINISHED = replace(ACCEPT, events=(*ACCEPT.events, EventType.PROGRESS))
"""The same where the provider's answer is the finished video."""
COMPLETE = Transition(
    "complete",
    frozenset({Status.IN_PROGRESS}),
    Status.COMPLETED,
    (EventType.STATUS_CHANGED, EventType.COMPLETED),
)
FAIL = Transition("fail", LIVE, Status.FAILED, (EventType.STATUS_CHANGED, EventType.FAILED))
CANCEL = Transition(
    "cancel", LIVE, Status.CANCELLED, (EventType.STATUS_CHANGED, EventType.CANCELLED)
)
DELETE = Transition(
    "delete", FINISHED, Status.DELETED, (EventType.STATUS_CHANGED, EventType.DELETED)
)

TRANSITIONS: tuple[Transition, ...] = (ACCEPT, COMPLETE, FAIL, CANCEL, DELETE)
