"""`/metrics`: true numbers of the whole installation, and not for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from api import create_app
from api.metrics import reporter_of
from api.streams import feeds_of
from orchestrator import accounts, dispatch
from orchestrator.broker import Broker
from orchestrator.context import Context, ProviderPool
from orchestrator.errors import ProviderBusy
from orchestrator.metrics import Reporter
from orchestrator.records import Caller
from orchestrator.rings import Ring
from orchestrator.streams import VideoPlace
from tests.api_client import ApiClient, client
from tests.factories import NOWHERE
from tests.rig import Rig

MakeContext = Callable[..., Context]
Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]
TOKEN = "collectors-only"


def numbers(api: ApiClient) -> Numbers:
    """Everything that the page shows."""
    response = api.get("/metrics")
    assert 200 == response.status_code
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def one(found: Numbers, name: str, **labels: str) -> float | None:
    """The value of one of them."""
    return found.get((name, frozenset(labels.items())))


def test_requests_are_counted_when_they_are_answered(api: ApiClient) -> None:
    """By route, not by address; what has no route has one name."""
    made = api.post("/api/videos", json={"prompt": "x"}).get_json()
    for _ in range(2):
        api.get(f"/api/videos/{made['id']}")
    api.get("/no/such/page")

    found = numbers(api)

    route = "/api/videos/<video_id>"
    requests = "orchestrator_http_requests_total"
    assert 2 == one(found, requests, method="GET", route=route, status="200")
    assert 1 == one(found, requests, method="POST", route="/api/videos", status="202")
    assert 1 == one(found, requests, method="", route="", status="404")
    seconds = "orchestrator_http_request_seconds"
    assert 2 == one(found, f"{seconds}_count", method="GET", route=route)
    assert 2 == one(found, f"{seconds}_bucket", method="GET", route=route, le="+Inf")
    assert made["id"] not in str(found)


def test_rows_are_shown_when_videos_wait(api: ApiClient) -> None:
    """Depth, age and money come from PostgreSQL."""
    made = api.post("/api/videos", json={"prompt": "x", "seconds": "4"}).get_json()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    api.post("/api/videos", json={"prompt": "x", "seconds": "4", "run_at": tomorrow})

    found = numbers(api)

    assert (1, 1) == tuple(
        one(found, "orchestrator_videos", state=state) for state in ("queued", "scheduled")
    )
    assert 0 <= (one(found, "orchestrator_queue_age_seconds") or -1) < 60
    assert float(made["cost_estimated"]) * 2 == one(found, "orchestrator_month_dollars")
    assert (1, 1) == tuple(one(found, f"orchestrator_{it}_up") for it in ("database", "redis"))
    assert 2 == one(found, "orchestrator_videos_created_total", model="sora-2")


def test_whole_installation_is_shown_when_any_process_is_asked(
    ctx: Context, make_ctx: MakeContext
) -> None:
    """A worker elsewhere has its part in the sums, and they stay when it ends."""
    worker = make_ctx()
    reporter = Reporter(worker, "worker")
    dispatch.sweep(worker)
    reporter.tell()
    api = client(create_app(ctx))

    living = numbers(api)
    reporter.close()
    ended = numbers(client(create_app(make_ctx())))

    assert (1, 0) == tuple(
        one(found, "orchestrator_processes", process="worker") for found in (living, ended)
    )
    assert (1, 1) == tuple(
        one(found, "orchestrator_sweep_seconds_count") for found in (living, ended)
    )


def test_life_of_a_video_is_counted_when_it_ends(rig: Rig) -> None:
    """Calls of the provider with what came of them, the end, the time and the money."""
    ctx = replace(rig.ctx, pool=ProviderPool(rig.upstream.open, rig.ctx.meters))
    rig = Rig(ctx, rig.upstream)
    done = rig.generated()
    rig.store(done)
    rig.upstream.script("create", ProviderBusy("not now"))
    rig.submitted("another kite")

    found = numbers(client(create_app(ctx)))

    calls = "orchestrator_provider_calls_total"
    assert (1, 1) == tuple(
        one(found, calls, provider="default", operation="create", outcome=outcome)
        for outcome in ("ok", "provider_busy")
    )
    calls = "orchestrator_provider_call_seconds_count"
    assert 2 == one(found, calls, provider="default", operation="create")
    ended = {"model": done.model, "status": "completed", "code": ""}
    assert 1 == one(found, "orchestrator_videos_ended_total", **ended)
    assert 1 == one(found, "orchestrator_video_seconds_count", model=done.model)
    cost = float(rig.video(done).cost_actual)
    assert 0 < cost
    assert cost == one(
        found, "orchestrator_completed_dollars_total", provider="default", model=done.model
    )


def test_streams_are_counted_when_they_are_open(app: Flask) -> None:
    """As many as there are readers now."""
    api = client(app)
    feed = feeds_of(app).enter(Caller("ann"), VideoPlace("video_x", None))

    during = numbers(api)
    feed.close()
    after = numbers(api)

    assert (1, 0) == tuple(one(found, "orchestrator_streams") for found in (during, after))


def test_rings_are_counted_when_the_broker_is_away(ctx: Context) -> None:
    """Whatever it has not taken."""
    broker = Broker(NOWHERE, meters=ctx.meters)
    for _ in range(2):
        broker.ring([Ring("poll", ("x",), "poll")])
    broker.close()

    found = numbers(client(create_app(ctx)))

    assert 2 == one(found, "orchestrator_ring_failures_total")


def test_counters_are_missing_when_redis_is_away(make_ctx: MakeContext) -> None:
    """A gap, not a zero that looks like a restart; what was counted is told later."""
    ctx = make_ctx(redis_url=NOWHERE)
    api = client(create_app(ctx))
    api.post("/api/videos", json={"prompt": "x"})

    found = numbers(api)

    assert 0 == one(found, "orchestrator_redis_up")
    assert 1 == one(found, "orchestrator_videos", state="queued")
    assert [] == [name for name, _ in found if name == "orchestrator_videos_created_total"]
    assert ("orchestrator_videos_created_total", "", "sora-2") in ctx.meters.take()


def test_page_answers_when_the_database_is_away(make_ctx: MakeContext) -> None:
    """Just then somebody wants to see it."""
    ctx = make_ctx(database_url="postgresql://nobody@127.0.0.1:1/none")

    found = numbers(client(create_app(ctx)))

    assert 0 == one(found, "orchestrator_database_up")
    assert None is one(found, "orchestrator_queue_age_seconds")


@pytest.fixture
def guarded(make_ctx: MakeContext) -> Iterator[ApiClient]:
    """A client of an application that wants keys, with a token for collectors."""
    ctx = make_ctx(auth="keys", metrics_token=TOKEN)
    accounts.create_key(ctx, "root", role="admin")
    app = create_app(ctx)
    yield client(app)
    reporter_of(app).close()


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/metrics", TOKEN, 200),
        ("/metrics", TOKEN + "x", 401),
        ("/metrics", "", 401),
        ("/api/admin/queue", TOKEN, 401),
        ("/api/videos", TOKEN, 401),
    ],
)
def test_token_opens_the_metrics_when_it_is_right(
    guarded: ApiClient, path: str, token: str, status: int
) -> None:
    """And nothing else."""
    response = guarded.get(path, headers={"Authorization": f"Bearer {token}"})

    assert status == response.status_code


def test_metrics_are_open_when_auth_is_off(api: ApiClient) -> None:
    """Only this machine is served then."""
    assert 200 == api.get("/metrics", headers={"X-User-Id": "ann"}).status_code
