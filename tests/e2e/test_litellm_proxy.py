"""Our core through a real LiteLLM proxy, from its wheel, which forwards to the sandbox."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import endings, holds, submissions
from orchestrator.catalog import PROFILES
from orchestrator.errors import ProviderTransient
from orchestrator.providers import Span
from orchestrator.records import Caller
from tests.contract.lifecycle_stage import Stage, Upstream, staged, upstream
from tests.contract.lifecycle_table import OUTCOMES
from tests.e2e.litellm_environment import environment, proxy

ANN = Caller("ann")

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> Path:
    """Where the proxy's command is."""
    return environment(request.config)


@pytest.fixture(scope="module")
def served(
    programs: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    """The sandbox, a proxy in front of it, and our core in front of that."""
    folder = tmp_path_factory.mktemp("core")
    with (
        upstream("sandbox", postgres_url, folder) as behind,
        proxy(programs, tmp_path_factory.mktemp("litellm"), behind.base_url) as base_url,
    ):
        behind.base_url, behind.profile = base_url, PROFILES["litellm"]
        yield behind


@pytest.fixture
def stage(served: Upstream, database_url: str) -> Iterator[Stage]:
    """The core over the proxy."""
    with staged(served) as opened:
        yield opened


def proxied_id(job_id: str) -> str:
    """The id under which this proxy knows a video of the provider behind it."""
    inner = f"litellm:custom_llm_provider:openai;model_id:sora-2;video_id:{job_id}"
    return "video_" + base64.b64encode(inner.encode()).decode()


def test_a_video_is_made_and_remixed(stage: Stage) -> None:
    """The main job works through a real proxy, and each video has its own bytes."""
    video = stage.want()
    stage.settle()
    expected = OUTCOMES["completed"].ending
    ending = stage.ending(video)
    remix = submissions.remix(stage.ctx, ANN, video.id, "a blue kite").video
    stage.settle()

    assert expected == ending
    assert "completed" == stage.video(remix).status
    stage.check_content(remix)
    assert ["create", "remix"] == [job["kind"] for job in stage.upstream.jobs]


def test_a_failed_job_and_a_blocked_one_fail(stage: Stage) -> None:
    """What the provider says of its job comes through."""
    failed, blocked = stage.want("a kite [fail]"), stage.want("a kite [moderation]")
    stage.settle()

    codes = [stage.video(video).error_code for video in (failed, blocked)]
    assert ["video_generation_failed", "moderation_blocked"] == codes
    assert 0 == stage.quota().videos_created


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("accept_then_cut", "held"),
        ("500_after_accept", "held"),
        ("no_id", "held"),
        ("html_after_accept", "held"),
        ("cut", "held, not made"),
        ("400", "refused"),
        ("moderation", "blocked"),
    ],
)
def test_a_fault_behind_the_proxy_ends_as_for_its_profile(
    stage: Stage, fault: str, outcome: str
) -> None:
    """The proxy hides what went wrong behind it: what is not certain is held, never sent again."""
    stage.upstream.misbehave(f"create.{fault}@1")

    video = stage.want()
    stage.settle()

    assert OUTCOMES[outcome].ending == stage.ending(video)
    assert 1 == stage.upstream.requests("create")


@pytest.mark.parametrize("fault", ["429", "503_retry_after:3", "401"])
def test_a_refusal_for_now_is_waited_out(stage: Stage, fault: str) -> None:
    """The proxy passes these on with their status."""
    stage.upstream.misbehave(f"create.{fault}@1")

    video = stage.want()
    stage.settle()

    assert "completed" == stage.video(video).status
    assert ["rejected", "accepted"] == stage.states(video)


def test_its_list_cannot_be_used(stage: Stage) -> None:
    """That is why its profile says that it has none; this test tells when that changes."""
    stage.settle()
    listed = stage.upstream.catalog({}, list="unpaged")
    (provider,) = listed.providers.values()

    with pytest.raises(ProviderTransient):
        stage.ctx.pool.get(provider).walk(Span(until=stage.want().created_at, max_pages=1))


def test_a_held_video_is_resolved_each_way(stage: Stage) -> None:
    """An operator adopts the id that the proxy gave it, has it sent again, or gives it up."""
    stage.upstream.misbehave("create.accept_then_cut@3")
    adopted, retried, failed = (stage.want(prompt) for prompt in ("one", "two", "three"))
    stage.settle()
    jobs = {job["prompt"]: job["id"] for job in stage.upstream.jobs}

    holds.resolve(stage.ctx, adopted.id, "adopt", provider_video_id=proxied_id(jobs["one"]))
    holds.resolve(stage.ctx, retried.id, "retry")
    holds.resolve(stage.ctx, failed.id, "fail")
    stage.settle()

    ends = [stage.video(video).status for video in (adopted, retried, failed)]
    assert ["completed", "completed", "failed"] == ends
    stage.check_content(adopted)
    stage.check_content(retried)
    assert 4 == len(stage.upstream.jobs)


def test_a_cancelled_video_is_watched_to_its_end(stage: Stage) -> None:
    """The proxy has no DELETE: what it makes is paid for, and booked."""
    video = stage.want()
    stage.running(video)
    endings.cancel(stage.ctx, ANN, video.id)
    stage.settle()

    assert OUTCOMES["paid"].ending == stage.ending(video)
    assert 0 == stage.upstream.requests("delete")


def test_a_provider_that_forgets_behind_the_proxy_loses_the_video(stage: Stage) -> None:
    """The proxy passes the 404 on."""
    video = stage.want()
    stage.running(video)
    stage.upstream.restart()
    stage.settle()

    assert OUTCOMES["lost"].ending == stage.ending(video)
