"""The benchmark runs: each part does its work on a tiny scale. No figure is judged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask, Response, request

from bench import limits, submit
from bench.child import answers
from bench.load import generator
from bench.load.generator import SERIAL, Generator, Request
from bench.measurement import Scale
from bench.movie import MOVIE
from bench.stage import Stage
from orchestrator.catalog import single_provider_catalog
from orchestrator.errors import ProviderMissing
from orchestrator.local.ports import free_port
from orchestrator.providers import CreateRequest, Span, open_provider
from tests.served import served

TRIAL = Scale(rounds=1, seconds=60.0, full=False, processes=1, limit=100)


@pytest.fixture(scope="module")
def stage(service_folder: Path) -> Iterator[Stage]:
    """Services as a benchmark has them."""
    with Stage(service_folder / "bench") as stage:
        yield stage


@pytest.fixture(params=["compiled", "fallback"])
def load(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator:
    """Both load generators."""
    if request.param == "fallback":
        monkeypatch.setattr(generator.shutil, "which", lambda _: None)
    found = Generator(tmp_path)
    if found.compiled != (request.param == "compiled"):
        pytest.skip("there is no C compiler here")
    return found


def test_generator_when_it_counts_answers(load: Generator) -> None:
    """Requests take turns, a serial is new each time, and all answers are counted."""
    app = Flask(__name__)
    seen: list[tuple[str, bytes]] = []

    @app.post("/<path:place>")
    def answer(place: str) -> Response:
        seen.append((place, request.get_data()))
        return Response("no" * 5000, status=202 if place == "good" else 404)

    requests = [Request("POST", path, {}, SERIAL.encode()) for path in ("/good", "/bad")]
    with served(app) as url:
        found = load.run(int(url.rpartition(":")[2]), requests, connections=4, limit=20)

    assert {"202": 10, "404": 10} == found.statuses
    assert (20, 0, 10) == (found.answers, found.broken, found.errors)
    assert found.bytes > 20 * 10_000
    assert 20 == len({body for _, body in seen})
    assert 0 < found.p50_ms <= found.p99_ms <= found.max_ms


def test_generator_when_nobody_listens(load: Generator) -> None:
    """It says so instead of showing a figure."""
    with pytest.raises(RuntimeError, match=r"listens|Refused"):
        load.run(free_port(), [Request("GET", "/")], connections=1, limit=1)


def test_limits_when_pgbench_runs(stage: Stage) -> None:
    """Each script fits the schema as it is."""
    found = {
        script: limits.contestant(stage, 1, script, script, 2, 5).run()["per_second"]
        for script in ("txn.sql", "cte.sql", "rows.sql")
    }

    assert all(per_second > 0 for per_second in found.values())


def test_submit_when_tried(stage: Stage) -> None:
    """The product and the naive baseline take part, and nothing goes wrong."""
    wanted = {submit.OURS, submit.NAIVE}
    with submit.MEASUREMENT.contestants(stage, TRIAL) as contestants:
        found = {who.name: who.run() for who in contestants if who.name in wanted}

    assert wanted == found.keys()
    assert all(metrics["per_second"] > 0 for metrics in found.values())
    assert {0} == {metrics["errors"] for metrics in found.values()}


def test_provider_when_our_own_client_asks() -> None:
    """The provider of measurements speaks the protocol: create, look, list, download."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}/v1"
    (provider,) = single_provider_catalog(base_url=base_url, profile="sandbox").providers.values()
    wish = CreateRequest("attempt-1", "sora-2", "a red kite", "4", "720x1280")
    process = subprocess.Popen([sys.executable, "-m", "bench.provider", str(port), "0", "0"])
    client = open_provider(provider)
    try:
        while not answers(f"http://127.0.0.1:{port}/seen"):
            assert process.poll() is None
        created = client.create(wish)
        listed = client.walk(Span(until=datetime.now(UTC) - timedelta(hours=1), max_pages=1))
        with client.download(created.id) as download:
            content = b"".join(download.chunks)

        assert ("completed", "a red kite") == (client.retrieve(created.id).status, created.prompt)
        assert [created.id] == [video.id for video in listed.videos]
        assert MOVIE == content
        with pytest.raises(ProviderMissing):
            client.retrieve("video_unknown")
    finally:
        client.close()
        process.kill()
        process.wait()
