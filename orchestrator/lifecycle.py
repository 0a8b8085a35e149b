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

from dataclasses import dataclass
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
    POLL = "poll"
    STORE = "store"


class AttemptState(StrEnum):
    """What is known of one submission to a provider."""

    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


class QuotaState(StrEnum):
    """Whether a video counts against its month."""

    RESERVED = "reserved"
    KEPT = "kept"
    RELEASED = "released"


class Kind(StrEnum):
    """How a video is asked for."""

    CREATE = "create"
    REMIX = "remix"
    EDIT = "edit"
    EXTENSION = "extension"


class EventType(StrEnum):
    """What can be read in a video's history."""

    CREATED = "created"
    REMIXED = "remixed"
    RETRIED = "retried"
    STATUS_CHANGED = "status_changed"
    PROGRESS = "progress"
    COMPLETED = "completed"
    THUMBNAIL_READY = "thumbnail_ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    HELD = "held"
    RELEASED = "released"
    CHARGED = "charged"
    PURGED = "purged"
    DOWNLOADED = "downloaded"


AUDIT_EVENTS = frozenset({EventType.DOWNLOADED})
"""Written best-effort and without a number: losing one loses no state."""

LIVE = frozenset({Status.QUEUED, Status.IN_PROGRESS})
FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
TERMINAL = FINISHED | {Status.DELETED}

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
