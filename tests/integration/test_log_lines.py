"""One line for each request and each message, with the ids that bring them together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from celery.contrib.testing.worker import start_worker
from structlog.testing import LogCapture

from api import create_app
from orchestrator.broker import Broker, celery_app
from orchestrator.context import Context
from orchestrator.ids import new_video_id
from orchestrator.rings import Ring, submits
from orchestrator.steps import submit
from tests.api_client import ApiClient, client
from tests.core import race
from tests.rig import Rig
from workers import process, tasks

SECRET = "a red kite over a secret place"
Line = dict[str, Any]


@pytest.fixture
def logged() -> Iterator[list[Line]]:
    """Every line that is written meanwhile, with what is bound to its thread."""
    structlog.contextvars.clear_contextvars()
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries

    structlog.configure(processors=before)


def only(logged: list[Line], event: str) -> Line:
    """The one line of this event."""
    (line,) = [line for line in logged if line["event"] == event]
    return line


def test_request_has_one_line_when_it_makes_a_video(api: ApiClient, logged: list[Line]) -> None:
    """Who, what, how long and which video; nothing that was in the body."""
    body = {"prompt": SECRET, "metadata": {"note": SECRET}}

    made = api.post("/api/videos", json=body, headers={"X-Request-Id": "mine-1"}).get_json()

    line = only(logged, "request")
    assert {"method": "POST", "route": "/api/videos", "status": 202, "user_id": "test_user"} == {
        name: line[name] for name in ("method", "route", "status", "user_id")
    }
    assert ("mine-1", made["id"]) == (line["request_id"], line["video_id"])
    assert line["ms"] >= 0
    assert SECRET not in str(logged)


def test_request_names_its_video_when_the_facade_makes_it(
    api: ApiClient, logged: list[Line]
) -> None:
    """As the native address does."""
    made = api.post("/v1/videos", json={"prompt": "x"}).get_json()

    assert made["id"] == only(logged, "request")["video_id"]


def test_messages_say_which_requests_made_their_videos_when_they_are_rung(ctx: Context) -> None:
    """Also of requests that came at the same time, whose videos share a message."""
    app = create_app(ctx)

    def post(n: int) -> Callable[[], Any]:
        headers = {"X-Request-Id": f"r{n}"}
        return lambda: client(app).post("/api/videos", json={"prompt": "x"}, headers=headers)

    answers = race(*(post(n) for n in range(6)))

    rings = [ring for ring in ctx.broker.rings if ring.task == "create"]  # type: ignore[attr-defined]
    told = {video: request for ring in rings for video, request in ring.origins.items()}
    assert {
        answer.get_json()["id"]: answer.headers["X-Request-Id"]  # type: ignore[union-attr]
        for answer in answers
    } == told


@pytest.fixture
def worker(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    """Starts a real worker on a real broker, in threads of this process."""
    monkeypatch.setenv("DATABASE_URL", ctx.settings.database_url)
    monkeypatch.setenv("REDIS_URL", ctx.settings.redis_url)
    monkeypatch.setenv("STORAGE_URL", f"file://{tmp_path / 'storage'}")

    def start() -> Any:
        app = celery_app(ctx.settings.broker_url)
        tasks.register(app)
        return start_worker(app, pool="threads", concurrency=2, perform_ping_check=False)

    yield start

    process.close()


def wait_until(done: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as it is so."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "nothing has come"
        time.sleep(0.02)


def lines_of(logged: list[Line]) -> list[Line]:
    """The lines of messages so far."""
    return [line for line in logged if line["event"] == "task"]


def test_message_has_one_line_with_its_request_when_a_worker_takes_it(
    ctx: Context, logged: list[Line], worker: Callable[[], Any]
) -> None:
    """The id goes from HTTP through the broker into whatever the worker writes about it."""
    one, *several = (new_video_id() for _ in range(3))
    (single,), (shared,) = submits([(one, "create")]), submits((v, "remix") for v in several)
    single.origins[one] = "mine-1"
    shared.origins.update(zip(several, ("mine-2", "mine-3"), strict=True))
    account = Ring("follow", ("default", "gone"), "poll")
    broker = Broker(ctx.settings.broker_url)

    with worker():
        assert broker.ring([single, shared, account])
        wait_until(lambda: len(lines_of(logged)) == 3)
    broker.close()

    lines = {line["task"]: line for line in lines_of(logged)}
    assert ("mine-1", one, "ok") == tuple(
        lines["create"][name] for name in ("request_id", "video_id", "outcome")
    )
    assert several == lines["remix"]["video_ids"]
    assert "request_id" not in lines["remix"]
    assert "default gone" == lines["follow"]["subject"]
    assert all(line["ms"] >= 0 for line in lines.values())


def test_lines_of_steps_name_request_video_attempt_and_user(rig: Rig, logged: list[Line]) -> None:
    """Each of its own request, also where one message brings the videos of several."""
    made = [rig.want(f"kite {n}") for n in range(3)]

    submit.submit(
        rig.ctx, *(video.id for video in made), origins={made[0].id: "r0", made[1].id: "r1"}
    )
    rig.upstream.becomes(rig.upstream_id(made[0]), "completed")
    rig.look(made[0])
    rig.store(made[0])

    lines = {line["video_id"]: line for line in logged if line["event"] == "submitting"}
    assert ["r0", "r1", None] == [lines[video.id].get("request_id") for video in made]
    for line in (*lines.values(), only(logged, "copied")):
        assert ("ann", 1, "default") == tuple(
            line[name] for name in ("user_id", "attempt", "provider")
        )
    assert made[0].id == only(logged, "copied")["video_id"]
