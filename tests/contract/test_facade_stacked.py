"""One orchestrator is the provider of another: through the facade, and never paid twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import endings, submissions
from orchestrator.catalog import single_provider_catalog
from orchestrator.context import Context
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.invariants import check
from orchestrator.providers import open_provider
from orchestrator.records import Caller, Video
from orchestrator.sandbox.books import report
from orchestrator.wishes import InputFile
from tests.contract.facade_stage import FAST, Facade, Network, facade
from tests.core import make_request, row, sql
from tests.factories import make_context, make_image, make_settings
from tests.served import work_once

ANN = Caller("ann")
ROUNDS = 400


@dataclass(frozen=True, slots=True)
class Stack:
    """The upper one, `ctx`, asks the lower one, which asks a sandbox."""

    ctx: Context
    lower: Facade
    network: Network

    def ask(self, prompt: str = "a red kite", **fields: Any) -> Video:
        """Ask the upper one for a video."""
        return submissions.create(self.ctx, ANN, make_request(prompt, **fields)).video

    def until(self, video: Video, *statuses: str) -> Video:
        """Let the upper one work until the video has one of these statuses."""
        for _ in range(ROUNDS):
            now = row(self.ctx, video.id)
            if now.status in statuses:
                return now
            self.work()
        raise AssertionError(f"{now.status} {now.step} {now.error_code}")

    def work(self) -> None:
        """Let the upper one do what there is, without the seconds that the lower one asks for."""
        sql(self.ctx, "update videos set due_at = now() where step = 'poll' and due_at > now()")
        sql(self.ctx, "update attempts set due_at = now() where detached and due_at > now()")
        work_once(self.ctx)
        time.sleep(0.02)

    def lower_videos(self) -> list[tuple[str, str]]:
        """(status, user) of what the lower one was asked for."""
        rows = sql(self.lower.ctx, "select status, user_id from videos order by created_at")
        return [tuple(found) for found in rows]

    def keys(self) -> list[str]:
        """The keys of what the lower one was asked to make, once for each time."""
        return [post["HTTP_IDEMPOTENCY_KEY"] for post in self.network.posts]

    def made(self) -> int:
        """How many videos the sandbox was paid for."""
        return int(report(self.lower.sandbox.sandbox)["accepted"]["total"])


@pytest.fixture
def faults() -> str:
    """Of the sandbox; a test may want some."""
    return ""


@pytest.fixture
def stack(
    database_url: str, bare_database_url: str, redis_url: str, tmp_path: Path, faults: str
) -> Iterator[Stack]:
    """Two installations, each with a database of its own."""
    lower_database = Database(bare_database_url)
    migrate(lower_database)
    lower_database.close()
    network = Network()
    with ExitStack() as opened:
        lower = opened.enter_context(
            facade(
                bare_database_url,
                redis_url,
                tmp_path / "lower",
                middleware=network.around,
                faults=faults,
            )
        )
        catalog = single_provider_catalog(base_url=lower.base_url, profile="orchestrator")
        settings = make_settings(
            database_url, redis_url, tmp_path / "upper", **{**FAST, "catalog": catalog}
        )
        ctx = make_context(settings, open_client=open_provider)
        opened.callback(ctx.close)
        yield Stack(ctx, lower, network)

        assert [] == check(ctx)
        assert [] == check(lower.ctx)


def test_a_video_goes_through_both_when_asked_for(stack: Stack) -> None:
    """Its bytes come from the sandbox through two storages, with all that was asked for."""
    image = InputFile(make_image(size=(16, 16)))

    video = stack.until(
        stack.ask(seconds="3", quality="high", input_reference=image), "completed", "failed"
    )

    assert ("completed", 1) == (video.status, stack.made())
    (lower,) = sql(
        stack.lower.ctx,
        "select seconds, size, quality, prompt, content_sha256, input_sha256 from videos",
    )
    assert (
        video.seconds,
        video.size,
        video.quality,
        video.prompt,
        video.content_sha256,
        video.input_sha256,
    ) == tuple(lower)


@pytest.mark.parametrize("lost", ["answer", "request", "cut answer", "cut request"])
def test_one_video_is_made_when_an_answer_is_lost(stack: Stack, lost: str) -> None:
    """Nobody knows the outcome; the same key is sent again, which is free."""
    stack.network.troubles = [lost, lost]

    video = stack.until(stack.ask(), "completed", "failed")

    assert "completed" == video.status
    assert (1, ["completed"]) == (stack.made(), [status for status, _ in stack.lower_videos()])
    assert 3 <= len(stack.keys())
    assert {f"{video.id}-1"} == set(stack.keys())


@pytest.mark.parametrize("lost", ["cut answer", "cut request"])
def test_one_video_is_made_when_the_lower_one_restarts_before_anybody_knows(
    stack: Stack, lost: str
) -> None:
    """The key outlives the process that has heard it, and so does the doubt of the upper one."""
    stack.network.troubles = [lost]
    asked = stack.ask()
    while not stack.keys():
        stack.work()
    stack.lower.stop()
    while len(stack.keys()) < 3:
        stack.work()
    states = {attempt for (attempt,) in sql(stack.ctx, "select state from attempts")}
    stack.lower.start()

    video = stack.until(asked, "completed", "failed")

    assert {"unknown"} == states
    assert ("completed", 1, 1) == (video.status, stack.made(), len(stack.lower_videos()))
    assert {f"{video.id}-1"} == set(stack.keys())


def test_one_video_is_made_when_the_lower_one_restarts_while_it_works(stack: Stack) -> None:
    """Polls that nobody answers harm nothing."""
    asked = stack.until(stack.ask(), "in_progress")
    stack.lower.stop()
    for _ in range(5):
        stack.work()
    waiting = row(stack.ctx, asked.id).status
    stack.lower.start()

    video = stack.until(asked, "completed", "failed")

    assert ("in_progress", "completed") == (waiting, video.status)
    assert (1, 1) == (stack.made(), len(stack.lower_videos()))


@pytest.mark.parametrize("faults", ["create.accept_then_cut@1"])
def test_one_video_is_made_when_both_do_not_know(stack: Stack) -> None:
    """The upper one lost the answer of the lower one, which lost that of the sandbox, and was
    restarted.
    """
    stack.network.troubles = ["cut answer"]
    asked = stack.ask()
    while not sql(stack.lower.ctx, "select 1 from attempts where state = 'unknown'"):
        stack.work()
    stack.lower.stop()
    stack.work()
    stack.lower.start()

    video = stack.until(asked, "completed", "failed")

    assert ("completed", 1, 1) == (video.status, stack.made(), len(stack.lower_videos()))


def test_a_remix_goes_through_both_when_its_answer_is_lost(stack: Stack) -> None:
    """It is a remix there, too, and one."""
    source = stack.until(stack.ask(), "completed", "failed")
    stack.network.troubles = ["answer"]

    asked = submissions.remix(stack.ctx, ANN, source.id, "a blue kite").video
    video = stack.until(asked, "completed", "failed")

    assert ("completed", 2) == (video.status, stack.made())
    kinds = sql(stack.lower.ctx, "select kind from videos order by created_at")
    assert ["create", "remix"] == [kind for (kind,) in kinds]


def test_equal_videos_are_several_when_asked_for_side_by_side(stack: Stack) -> None:
    """Each attempt has its key, so that none is taken for another."""
    videos = [stack.ask() for _ in range(3)]

    ended = [stack.until(video, "completed", "failed").status for video in videos]

    assert (["completed"] * 3, 3) == (ended, stack.made())


def test_failures_are_told_when_the_lower_one_fails(stack: Stack) -> None:
    """With the code and the words that it gives."""
    video = stack.until(stack.ask("a kite [moderation]"), "completed", "failed")

    assert ("failed", "moderation_blocked") == (video.status, video.error_code)


def test_the_lower_one_is_cancelled_when_the_upper_one_is(stack: Stack) -> None:
    """Its DELETE cancels, so nobody works for nothing."""
    video = stack.until(stack.ask(), "in_progress")

    endings.cancel(stack.ctx, ANN, video.id)
    for _ in range(ROUNDS):
        if stack.lower_videos()[0][0] == "deleted":
            break
        stack.work()

    assert "deleted" == stack.lower_videos()[0][0]


def test_the_upper_one_waits_when_the_lower_one_has_no_quota_left(stack: Stack) -> None:
    """429: not now. The video stays queued, and comes once there is quota again."""
    sql(
        stack.lower.ctx,
        "insert into user_quotas (user_id, videos_limit, reset_at) "
        "values ('test_user', 0, now() + interval '1 hour')",
    )
    video = stack.ask()
    while not sql(stack.ctx, "select 1 from providers where paused_until > now()"):
        stack.work()
    waiting = row(stack.ctx, video.id).status

    sql(stack.lower.ctx, "update user_quotas set videos_limit = 5")
    sql(stack.ctx, "update providers set paused_until = null")
    ended = stack.until(video, "completed", "failed")

    assert ("queued", "completed") == (waiting, ended.status)
