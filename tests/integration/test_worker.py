"""A real Celery worker on a real broker drives videos through the sandbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from celery.contrib.testing.worker import start_worker

from orchestrator import housekeeping
from orchestrator.broker import celery_app
from orchestrator.context import Context, build
from orchestrator.db import attempts, videos
from orchestrator.invariants import check
from orchestrator.records import Attempt, Caller, Video
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from orchestrator.settings import load
from orchestrator.submissions import create, remix
from orchestrator.wishes import VideoRequest
from workers import process, scheduler, tasks

ANN = Caller("ann")
PATIENCE = 60.0


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A provider that makes the same tiny video in half a second."""
    with running_sandbox(render_seconds=0.5, instant_video=True) as running:
        yield running


@pytest.fixture
def ctx(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Context]:
    """What the web process has, with the environment that the worker reads."""
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "STORAGE_URL": f"file://{tmp_path / 'storage'}",
        "OPENAI_BASE_URL": sandbox.base_url,
        "PROVIDER_PROFILE": "sandbox",
        "POLL_MIN_SECONDS": "0.3",
        "RECONCILE_GRACE_SECONDS": "0.5",
        "RETRY_BASE_SECONDS": "0.2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with closing(build(load())) as built:
        yield built

        assert [] == check(built)


@contextmanager
def working(ctx: Context) -> Iterator[None]:
    """A worker with its own context, and a scheduler, until the block ends."""
    app = celery_app(ctx.settings.broker_url)
    tasks.register(app)
    stop = threading.Event()
    sweeping = threading.Thread(target=scheduler.run, args=(ctx, stop))
    try:
        with start_worker(app, pool="threads", concurrency=8, perform_ping_check=False):
            sweeping.start()
            yield
            stop.set()
            sweeping.join()
    finally:
        stop.set()
        process.close()
        app.close()


def finished(ctx: Context, video: Video) -> Video:
    """Wait until it is over."""
    end = time.monotonic() + PATIENCE
    while True:
        with ctx.database.statement() as connection:
            found = videos.get(connection, video.id)
        assert found is not None
        if found.finished_at is not None:
            return found
        assert time.monotonic() < end, f"{found.status}, {found.step}"
        time.sleep(0.05)


def attempts_of(ctx: Context, video: Video) -> list[Attempt]:
    """All its attempts."""
    with ctx.database.statement() as connection:
        return attempts.of_video(connection, video.id)


def wish(prompt: str = "a red kite") -> VideoRequest:
    """A short, small video."""
    return VideoRequest(prompt=prompt, seconds="1", size="320x240")


def test_worker_drives_a_video_and_its_remix_to_completed(ctx: Context) -> None:
    """From the ring of the web process to bytes in storage, twice."""
    with working(ctx):
        first = finished(ctx, create(ctx, ANN, wish()).video)
        second = finished(ctx, remix(ctx, ANN, first.id, "a blue kite").video)

    assert ("completed", "completed") == (first.status, second.status)
    assert first.content_key is not None
    stored = ctx.storage.stat(first.content_key)
    assert stored is not None
    assert first.content_bytes == stored.size


def test_worker_pays_once_when_the_answer_is_cut(ctx: Context, sandbox: RunningSandbox) -> None:
    """The provider accepted and hung up: the video is found in its list, not made again."""
    sandbox.sandbox.faults.change("create.accept_then_cut@1")

    with working(ctx):
        video = finished(ctx, create(ctx, ANN, wish()).video)

    assert "completed" == video.status
    assert ["accepted"] == [attempt.state for attempt in attempts_of(ctx, video)]
    assert 1 == len(sandbox.sandbox.jobs.everything())


def test_worker_finishes_when_the_broker_is_wiped(ctx: Context, redis_url: str) -> None:
    """All messages are gone before a worker sees them: the sweep rings again."""
    wanted = [create(ctx, ANN, wish(f"kite {n}")).video for n in range(5)]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    with working(ctx):
        ends = [finished(ctx, video) for video in wanted]

    assert ["completed"] * 5 == [video.status for video in ends]


def test_tasks_are_quiet_when_there_is_nothing_to_do(ctx: Context) -> None:
    """Messages about videos and accounts that do not exist are harmless."""
    nobody = "video_" + "0" * 32

    tasks.create_videos(nobody)
    tasks.remix_videos(nobody)
    tasks.poll_videos([nobody])
    tasks.store_videos(nobody)
    tasks.follow_account("default", "sandbox")
    tasks.reconcile_account("nobody", "nowhere")
    tasks.watch_account("default", "sandbox")
    tasks.sweep()

    process.close()


def test_tasks_share_a_context_when_the_first_ones_come_together(ctx: Context) -> None:
    """Two would have twice the connections, and each would follow the same account."""
    together = threading.Barrier(8)

    def ask() -> int:
        together.wait(PATIENCE)
        return id(process.context())

    with ThreadPoolExecutor(8) as pool:
        seen = {asked.result() for asked in [pool.submit(ask) for _ in range(8)]}

    process.close()
    assert 1 == len(seen)


class Rounds(threading.Event):
    """Stops a loop after so many rounds, without waiting."""

    def __init__(self, rounds: int):
        super().__init__()
        self.left = rounds

    def wait(self, timeout: float | None = None) -> bool:
        """One round is over."""
        self.left -= 1
        if self.left <= 0:
            self.set()
        return self.is_set()


def test_scheduler_goes_on_when_the_database_is_away(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that fails is a log line; the next one comes."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nowhere")
    stop = Rounds(3)

    with closing(build(load())) as broken:
        scheduler.run(broken, stop)

    assert 0 == stop.left


def test_scheduler_tidies_again_at_once_when_there_is_more(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mountain is not removed at one batch a minute, nor is what is left of it."""
    monkeypatch.setattr(housekeeping, "ROWS", 2)
    with ctx.database.transaction() as connection:
        connection.exec_driver_sql(
            "insert into idempotency_keys select 'ann', 'r', n, 'f', 202, '{}', "
            "now() - interval '8 days' from generate_series(1, 5) n"
        )

    scheduler.run(ctx, Rounds(3))

    with ctx.database.statement() as connection:
        assert 0 == connection.exec_driver_sql("select count(*) from idempotency_keys").scalar()


def test_scheduler_sweeps_and_tidies_in_its_first_round(ctx: Context) -> None:
    """Nothing waits a minute for the first tidying."""
    video = create(ctx, ANN, wish()).video
    with ctx.database.transaction() as connection:
        connection.exec_driver_sql("update videos set rung_at = now() - interval '1 minute'")
        connection.exec_driver_sql(
            "insert into idempotency_keys (user_id, route, key, fingerprint, status_code, "
            "video_ids, created_at) values ('ann', 'r', 'k', 'f', 202, '{}', "
            "now() - interval '8 days')"
        )

    scheduler.run(ctx, Rounds(1))

    with ctx.database.statement() as connection:
        kept = connection.exec_driver_sql("select count(*) from idempotency_keys").scalar()
        found = videos.get(connection, video.id)
    assert 0 == kept
    assert found is not None
    assert found.rung_at is not None
    assert found.rung_at > video.created_at
