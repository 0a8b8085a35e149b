"""Our core through a real LiteLLM proxy, from its wheel, which forwards to the sandbox.

The proxy is installed into an environment of its own, once, below pytest's cache folder: it wants
other versions of our libraries. Where that cannot be done the tests are skipped, and say why.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from orchestrator import endings, holds, submissions
from orchestrator.catalog import PROFILES
from orchestrator.errors import ProviderTransient
from orchestrator.local.ports import free_port
from orchestrator.records import Caller
from tests.contract.lifecycle_stage import Stage, Upstream, staged, upstream
from tests.contract.lifecycle_table import OUTCOMES

PINS = Path(__file__).with_name("litellm-proxy.txt")
INSTALL_SECONDS = 180
START_SECONDS = 90
# The pins are complete, and nothing that is built here could be trusted to be what was pinned.
PIP_OPTIONS = ("--no-deps", "--no-compile", "--only-binary", ":all:")
ANN = Caller("ann")

pytestmark = [pytest.mark.timeout(300)]

CONFIG = """
model_list:
  - model_name: sora-2
    litellm_params:
      model: openai/sora-2
      api_base: {api_base}
      api_key: key-of-the-sandbox
      num_retries: 0
router_settings:
  num_retries: 0
  disable_cooldowns: true
litellm_settings:
  num_retries: 0
  telemetry: false
general_settings:
  master_key: key-of-a-test
"""


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest) -> Path:
    """The proxy's command."""
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()
    folder = request.config.cache.mkdir(f"litellm-{digest[:12]}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = folder / "venv" / "bin" / "litellm"
        # A checkout that has moved has an environment that does not work.
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != str(folder):
            install(folder / "venv")
            stamp.write_text(str(folder))
        return command


def install(target: Path) -> None:
    """Make an environment with the proxy in it, or skip."""
    shutil.rmtree(target, ignore_errors=True)
    python = target / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", target], check=True, capture_output=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *PIP_OPTIONS, "--requirement", PINS],
            check=True,
            capture_output=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"LiteLLM could not be installed within {INSTALL_SECONDS} s")
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        pytest.skip(f"LiteLLM cannot be installed: {said[-1] if said else error}")


@pytest.fixture(scope="module")
def served(
    program: Path, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upstream]:
    """The sandbox, a proxy in front of it, and our core in front of that."""
    folder = tmp_path_factory.mktemp("core")
    with (
        upstream("sandbox", postgres_url, folder) as behind,
        proxy(program, tmp_path_factory.mktemp("litellm"), behind.base_url) as base_url,
    ):
        behind.base_url, behind.profile = base_url, PROFILES["litellm"]
        yield behind


@contextmanager
def proxy(program: Path, folder: Path, api_base: str) -> Iterator[str]:
    """A running proxy; its base URL."""
    config, port = folder / "config.yaml", free_port()
    config.write_text(CONFIG.format(api_base=api_base))
    environment = {
        "PATH": f"{program.parent}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        # Whatever it would like to fetch from elsewhere, it gets nowhere.
        "https_proxy": "http://127.0.0.1:9",
        "no_proxy": "127.0.0.1",
    }
    arguments = ["--config", config, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *arguments],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for(process, port, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the proxy answers. Fails with what it has said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/liveliness")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.3)
        finally:
            connection.close()
    raise AssertionError(f"the proxy did not start: {log.read_text()[-2000:]}")


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
    listed = stage.upstream.catalog(list="unpaged")
    (provider,) = listed.providers.values()

    with pytest.raises(ProviderTransient):
        stage.ctx.pool.get(provider).walk(until=stage.want().created_at, max_pages=1)


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
