"""What tests of the core share: a context over a real database, records made by hand, races."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar
from uuid import uuid4

import fakeredis
from sqlalchemy import event, text

from orchestrator import endings, submissions
from orchestrator.cache import Cache
from orchestrator.context import Context
from orchestrator.db import attempts, submitting, transitions
from orchestrator.db import quotas as quota_rows
from orchestrator.db import videos as video_rows
from orchestrator.db.lanes import Lane
from orchestrator.db.transitions import After
from orchestrator.ids import new_video_id
from orchestrator.lifecycle import ACCEPT
from orchestrator.limits import Limits
from orchestrator.records import Attempt, Caller, Quota, Video
from orchestrator.wishes import VideoRequest
from tests.factories import NOWHERE, fail, make_context, make_settings

T = TypeVar("T")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@contextmanager
def opened(database_url: str, tmp_path: Path, **changes: Any) -> Iterator[Context]:
    """A context over this database with a Redis of its own in memory; `changes` are settings."""
    server = fakeredis.FakeServer()
    ctx = replace(
        make_context(make_settings(database_url, NOWHERE, tmp_path, **changes)),
        cache=Cache("", client=fakeredis.FakeRedis(server=server)),
        limits=Limits("", client=fakeredis.FakeRedis(server=server)),
    )
    try:
        yield ctx
    finally:
        ctx.close()


def caller(user_id: str = "ann", role: str = "user") -> Caller:
    """Somebody who asks."""
    return Caller(user_id, role)


def make_request(prompt: str = "a red kite", **changes: Any) -> VideoRequest:
    """A request that the sandbox's rules allow: 2 s, 0.20 US dollars."""
    return VideoRequest(**{"prompt": prompt, "seconds": "2", "size": "320x240", **changes})


def submit(ctx: Context, user_id: str = "ann", prompt: str = "a red kite", **changes: Any) -> Video:
    """A new video of this user."""
    return submissions.create(ctx, caller(user_id), make_request(prompt, **changes)).video


def send(ctx: Context, video_id: str, *, lane: Lane | None = None, lease: float = 30) -> Attempt:
    """Let a worker claim the submit step and write its attempt; the call is under way."""
    token = uuid4().hex
    with ctx.database.transaction() as connection:
        (video,) = submitting.claim_submits(connection, [video_id], token=token, lease=lease)
        opening = submitting.Opening(video, lane)
        opened = submitting.open_attempts(connection, [opening], token=token, lease=lease)
    return opened[video_id]


def accept(ctx: Context, video_id: str, provider_id: str | None = None) -> Attempt:
    """Let the provider take a queued video: an accepted attempt, and the poll step due now."""
    attempt = send(ctx, video_id)
    name = provider_id or f"up_{uuid4().hex}"
    with ctx.database.transaction() as connection:
        attempts.lock(connection, video_id, attempt.n)
        taken = attempts.accepted(
            connection, attempt, provider_video_id=name, canonical_id=name, detached=False
        )
        moved = transitions.transition(
            connection, video_id, ACCEPT, values={"step": "poll", "due_at": After(0)}
        )
    assert taken
    assert moved is not None
    ctx.cache.clear_videos()
    return attempt


def row(ctx: Context, video_id: str) -> Video:
    """The row of a video as it is now."""
    with ctx.database.statement() as connection:
        found = video_rows.get(connection, video_id)
    assert found is not None
    return found


def quota(ctx: Context, user_id: str = "ann") -> Quota:
    """The quota of a user as it is now."""
    with ctx.database.statement() as connection:
        return quota_rows.ensure(connection, user_id)


def sql(ctx: Context, statement: str, **values: Any) -> list[Any]:
    """Run a statement by hand; its rows, if it has any."""
    with ctx.database.statement() as connection:
        result = connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


def count(ctx: Context) -> int:
    """How many videos there are."""
    return int(sql(ctx, "select count(*) from videos")[0][0])


def told(ctx: Context, video_id: str) -> list[tuple[int, str, Any]]:
    """(seq, type, data) of a video's events."""
    rows = sql(
        ctx,
        "select seq, event_type, event_data from video_events where video_id = :id order by id",
        id=video_id,
    )
    return [(row[0], row[1], row[2]) for row in rows]


def unfinished(ctx: Context, status: str) -> Video:
    """A video of ann's of this status, which is not completed."""
    video = submit(ctx)
    {
        "queued": lambda: None,
        "in_progress": lambda: accept(ctx, video.id),
        "failed": lambda: fail(ctx, video.id),
        "cancelled": lambda: endings.cancel(ctx, caller(), video.id),
    }[status]()
    return row(ctx, video.id)


@contextmanager
def statements(ctx: Context) -> Iterator[list[str]]:
    """The statements that run meanwhile."""
    executed: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        executed.append(statement)

    event.listen(ctx.database._engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(ctx.database._engine, "before_cursor_execute", note)


def race(*calls: Callable[[], T]) -> list[T | Exception]:
    """Call all of these at the same moment, each in a thread; results or exceptions, in order."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | Exception:
        barrier.wait(timeout=30)
        try:
            return call()
        except Exception as error:  # the test says which ones it expects
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def types_of(outcomes: Sequence[object]) -> dict[str, int]:
    """How many outcomes of each type there are, by its name."""
    names = [type(outcome).__name__ for outcome in outcomes]
    return {name: names.count(name) for name in sorted(set(names))}


def make_video(**changes: Any) -> Video:
    """A queued video that is in no database."""
    plain: dict[str, Any] = dict.fromkeys(Video._fields)
    plain |= {
        "id": new_video_id(),
        "user_id": "ann",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "prompt": "a red kite",
        "size": "720x1280",
        "seconds": "4",
        "created_at": NOON,
        "updated_at": NOON,
        "metadata": {},
        "kind": "create",
        "step": "submit",
        "seq": 1,
        "provider": "default",
        "account": "sandbox",
        "priority": 0,
        "rank_at": NOON,
        "fingerprint": "0" * 64,
        "failures": 0,
        "cost_estimated": Decimal("0.4000"),
        "cost_actual": Decimal(0),
        "sdk_tries": 1,
        "pictures_tries": 0,
        "snoozed": False,
        "quota_state": "reserved",
        "quota_period": NOON,
    }
    return Video(**{**plain, **changes})
