"""Messages that name what there is to do: which videos go into one, and how it looks to Celery."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pydantic_core import to_json

ORIGINS = "origins"
"""The header of a message that says by which requests its videos were made."""
_REPR_LENGTH = 2048
"""Flower finds a message by the ids in it: the longest has 25 of 40 characters."""
# A message costs a worker as much as a submission does. More than that many in one would leave
# other workers idle, and files take longer than creates.
_CREATES = 25
_STORES = 10


@dataclass(frozen=True, slots=True)
class Ring:
    """One message: a task by name, on the queue of the same name unless said otherwise.

    origins: by which request the videos in it were made, for the log. A header, since nobody's
    work depends on it: it is lost with the message, and the sweep's has none.
    """

    task: str
    args: tuple[Any, ...]
    queue: str
    origins: dict[str, str] = field(default_factory=dict, compare=False)


def submits(videos: Iterable[tuple[str, str]], *, together: bool = True) -> list[Ring]:
    """Rings for admitted videos given as (id, kind): several of a queue in a message, or one."""
    by_task: dict[str, list[str]] = defaultdict(list)
    for video_id, kind in videos:
        by_task["create" if kind == "create" else "remix"].append(video_id)
    size = _CREATES if together else 1
    return [
        Ring(task, chunk, task) for task, ids in by_task.items() for chunk in _chunks(ids, size)
    ]


def stores(video_ids: Iterable[str]) -> list[Ring]:
    """Rings for videos whose bytes, or pictures, wait at their provider: several in a message."""
    return [Ring("store", chunk, "store") for chunk in _chunks(list(video_ids), _STORES)]


def _chunks(ids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]


def polls(videos: Iterable[tuple[str, str, str]], *, chunk: int) -> list[Ring]:
    """Rings for due polls given as (id, provider, account): up to `chunk` videos of one account in
    a message.
    """
    by_account: dict[tuple[str, str], list[str]] = defaultdict(list)
    for video_id, provider, account in videos:
        by_account[provider, account].append(video_id)
    return [
        Ring("poll", (ids[start : start + chunk],), "poll")
        for ids in by_account.values()
        for start in range(0, len(ids), chunk)
    ]


def message(ring: Ring) -> bytes:
    """A ring as Celery publishes it (its protocol 2 in kombu's envelope)."""
    task_id = str(uuid4())
    body = to_json((ring.args, {}, _EMBEDDED))
    return to_json(
        {
            "body": b64encode(body),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                **_HEADERS,
                "task": ring.task,
                "id": task_id,
                **({ORIGINS: ring.origins} if ring.origins else {}),
                "root_id": task_id,
                "argsrepr": repr(ring.args)[:_REPR_LENGTH],
            },
            "properties": {
                **_PROPERTIES,
                "correlation_id": task_id,
                "delivery_tag": task_id,
                "delivery_info": {"exchange": "", "routing_key": ring.queue},
            },
        }
    )


_EMBEDDED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_HEADERS: dict[str, Any] = {
    "lang": "py",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": (None, None),
    "parent_id": None,
    "kwargsrepr": "{}",
    "origin": "orchestrator",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
_PROPERTIES = {"reply_to": "", "delivery_mode": 2, "priority": 0, "body_encoding": "base64"}
