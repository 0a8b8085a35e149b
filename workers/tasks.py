"""The tasks: each takes ids and calls one use case. Whatever goes wrong, the sweep sees
it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, wraps
from time import perf_counter, time

import structlog
from celery import Celery, current_task
from structlog.contextvars import bound_contextvars

from orchestrator import deliveries, dispatch, reconcile
from orchestrator.ids import is_video_id
from orchestrator.meters import MESSAGES, TASK_SECONDS
from orchestrator.rings import ORIGINS
from orchestrator.steps import follow, poll, store, submit, watch
from orchestrator.traces import Deed
from workers.process import context, delivering, stopping

log = structlog.get_logger(__name__)
# Every process sweeps, every few seconds.
_QUIET = frozenset({"dispatch"})


def create_videos(*video_ids: str) -> None:
    """Submit new videos."""
    submit.submit(context(), *video_ids, origins=_origins())


def remix_videos(*video_ids: str) -> None:
    """Submit remixes."""
    submit.submit(context(), *video_ids, origins=_origins())


def poll_videos(video_ids: list[str]) -> None:
    """Look how far these videos are."""
    poll.poll(context(), video_ids)


def follow_account(provider: str, account: str) -> None:
    """Look at the running videos of an account as long as there are any."""
    follow.follow(context(), provider, account)


def store_videos(*video_ids: str) -> None:
    """Copy finished videos into our storage."""
    store.store(context(), *video_ids)


def reconcile_account(provider: str, account: str) -> None:
    """Find out what became of submissions of unknown outcome."""
    reconcile.reconcile(context(), provider, account)


def watch_account(provider: str, account: str) -> None:
    """Follow attempts whose video has moved on."""
    watch.watch(context(), provider, account)


def deliver_webhooks(target: str) -> None:
    """Tell one receiver what is due to it."""
    with delivering() as free:
        if free:
            deliveries.deliver(context(), target)


def sweep() -> None:
    """Look for what is due, expired or forgotten."""
    dispatch.sweep(context())


TASKS: Mapping[str, Callable[..., None]] = {
    "create": create_videos,
    "remix": remix_videos,
    "poll": poll_videos,
    "follow": follow_account,
    "store": store_videos,
    "reconcile": reconcile_account,
    "watch": watch_account,
    "deliver": deliver_webhooks,
    "dispatch": sweep,
}
QUEUE_OF = {"follow": "poll", "reconcile": "dispatch", "watch": "poll"}
"""The queues of the tasks that have none of their own name."""


def register(app: Celery) -> None:
    """Give the tasks the names that rings use, and that people see in Flower."""
    for name, function in TASKS.items():
        app.task(name=name)(_counted(name, function))
    app.conf.task_routes = {name: {"queue": QUEUE_OF.get(name, name)} for name in TASKS}


@cache
def _counted(name: str, function: Callable[..., None]) -> Callable[..., None]:
    """The function, counted under that name. Celery may take one more message after the signal to
    stop. It is only a hint: the sweep will ring again, and somebody else will hear it.
    """

    @wraps(function)
    def task(*args: object) -> None:
        if stopping():
            return
        began = perf_counter()
        outcome = "error"
        with bound_contextvars(task=name, **_origin()):
            try:
                function(*args)
                outcome = "ok"
            finally:
                seconds = perf_counter() - began
                context().meters.timed(MESSAGES, TASK_SECONDS, seconds, (name,), outcome)
                say = log.debug if name in _QUIET else log.info
                say("task", outcome=outcome, ms=round(1000 * seconds, 2), **_subject(args))
                if context().traces.on:
                    _trace(name, args, seconds, "" if outcome == "ok" else outcome)

    return task


def _origins() -> Mapping[str, str]:
    """Which requests have made the videos that the message at hand names."""
    headers = current_task.request if current_task else None
    return (headers and headers.get(ORIGINS)) or {}


def _origin() -> dict[str, str]:
    """The request that has made all of them, if it was one."""
    requests = set(_origins().values())
    return {"request_id": requests.pop()} if len(requests) == 1 else {}


def _trace(name: str, args: tuple[object, ...], seconds: float, failure: str) -> None:
    """One span of each video that the message names: what was done for several took all of them so
    long.
    """
    ended = time()
    videos = [one for one in map(str, _named(args)) if is_video_id(one)]
    deed = Deed(name, ended - seconds, ended, {"videos": len(videos)}, failure)
    context().traces.span(videos, deed)


def _named(args: tuple[object, ...]) -> list[object]:
    return [one for arg in args for one in (arg if isinstance(arg, list) else [arg])]


def _subject(args: tuple[object, ...]) -> dict[str, object]:
    """What a message is about, as the log names it."""
    named = _named(args)
    match named:
        case []:
            return {}
        case [video_id] if is_video_id(str(video_id)):
            return {"video_id": video_id}
        case [video_id, *_] if is_video_id(str(video_id)):
            return {"video_ids": named}
        case _:
            return {"subject": " ".join(map(str, named))}
