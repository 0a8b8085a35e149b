"""Bad days: without Redis, without PostgreSQL, with an accident of our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from api import create_app
from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.factories import NOWHERE, complete

MakeContext = Callable[..., Context]
NO_DATABASE = "postgresql://nobody:hunter2@127.0.0.1:1/none"


@pytest.fixture
def without_redis(make_ctx: MakeContext) -> Context:
    """A context whose Redis is not there."""
    return make_ctx(redis_url=NOWHERE)


@pytest.fixture
def without_database(make_ctx: MakeContext) -> ApiClient:
    """A client of an application whose PostgreSQL is not there."""
    return client(create_app(make_ctx(database_url=NO_DATABASE)))


def test_everything_works_when_redis_is_away(without_redis: Context) -> None:
    """Submits are accepted, reads come from PostgreSQL."""
    api = client(create_app(without_redis))
    made = api.post("/api/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "k"})
    assert made.json is not None
    address = f"/api/videos/{made.json['id']}"

    shown = api.get(address)
    complete(without_redis, made.json["id"])
    answers = [
        api.get(address),
        api.get("/api/videos"),
        api.get(f"{address}/download"),
        api.get(f"{address}/events"),
        api.get("/api/quota"),
        api.get("/api/stats"),
        api.get("/readyz"),
        api.get("/api/admin/cache", headers={"X-User-Id": "admin"}),
        api.delete("/api/admin/cache", headers={"X-User-Id": "admin"}),
        api.delete(address),
    ]

    assert (202, made.json) == (made.status_code, shown.json)
    assert [200] * len(answers) == [answer.status_code for answer in answers]


def test_readiness_tells_of_redis_when_it_is_away(without_redis: Context) -> None:
    """Ready all the same."""
    response = client(create_app(without_redis)).get("/readyz")

    assert response.json is not None
    assert {"database": "ok", "schema": "ok", "redis": "unavailable"} == response.json["checks"]


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("POST", "/api/videos", {"prompt": "x"}),
        ("GET", "/api/videos", None),
        ("GET", "/api/videos/video_" + "0" * 32, None),
        ("DELETE", "/api/videos/video_" + "0" * 32, None),
        ("GET", "/api/quota", None),
        ("GET", "/api/events", None),
    ],
)
def test_requests_answer_503_when_the_database_is_away(
    without_database: ApiClient, method: str, address: str, body: Any
) -> None:
    """A clear word, when to come back, and nothing of the inside."""
    response = without_database.open(address, method=method, json=body)

    assert (503, "2") == (response.status_code, response.headers["Retry-After"])
    assert response.json is not None
    assert "dependency_down" == response.json["code"]
    assert "hunter2" not in response.text
    assert "psycopg" not in response.text


def test_health_tells_alive_from_ready_when_the_database_is_away(
    without_database: ApiClient,
) -> None:
    """A restart would not help; requests should go elsewhere."""
    alive = without_database.get("/healthz")
    ready = without_database.get("/readyz")

    assert (200, 503) == (alive.status_code, ready.status_code)
    assert ready.json is not None
    assert "unavailable" == ready.json["checks"]["database"]


def test_readiness_says_what_to_do_when_the_schema_is_missing(
    make_ctx: MakeContext, bare_database_url: str
) -> None:
    """A database without tables cannot serve."""
    response = client(create_app(make_ctx(database_url=bare_database_url))).get("/readyz")

    assert 503 == response.status_code
    assert response.json is not None
    assert "orchestrator migrate" in response.json["checks"]["schema"]


def test_accident_shows_no_internals_when_it_happens(ctx: Context) -> None:
    """The client learns a request id, the log learns the rest."""
    app = create_app(replace(ctx, storage=Broken()))
    made = client(app).post("/api/videos", json={"prompt": "x"}).json
    assert made is not None
    complete(ctx, made["id"])

    with capture_logs() as logged:
        response = app.test_client().get(
            f"/api/videos/{made['id']}/download", headers={"X-Request-Id": "mine-1"}
        )

    assert 500 == response.status_code
    assert response.json is not None
    assert ("internal_error", "mine-1") == (response.json["code"], response.json["request_id"])
    assert "hunter2" not in response.text
    assert ["request_failed", "request"] == [line["event"] for line in logged]


class Broken:
    """A storage with a bug."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the password is hunter2")
