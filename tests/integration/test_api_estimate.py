"""`POST /api/estimate`: the price of a video that nobody has asked for yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from api import create_app
from orchestrator.catalog import Catalog, Model, single_provider_catalog
from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.core import sql

ADMIN = {"X-User-Id": "admin"}


def estimate(api: ApiClient, **fields: Any) -> Any:
    """What a video with these fields would cost."""
    response = api.post("/api/estimate", json={"prompt": "a kite", **fields})
    assert 200 == response.status_code
    return response.json


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 0.4),
        ({"seconds": 8}, 0.8),
        ({"model": "sora-2-pro", "seconds": "8"}, 1.6),
    ],
)
def test_estimate_equals_what_is_reserved_when_the_video_is_made(
    api: ApiClient, fields: dict[str, Any], cost: float
) -> None:
    """The price of the request with its defaults."""
    found = estimate(api, **fields)
    made = api.post("/api/videos", json={"prompt": "a kite", **fields}).json

    assert made is not None
    assert cost == found["cost"] == made["cost_estimated"]
    assert (made["model"], made["seconds"], made["size"]) == (
        found["model"],
        found["seconds"],
        found["size"],
    )


def test_estimate_reserves_nothing_when_asked_often(api: ApiClient, ctx: Context) -> None:
    """No video, and a quota as it was."""
    for _ in range(3):
        estimate(api)

    assert [(0,)] == [tuple(found) for found in sql(ctx, "select count(*) from videos")]
    quota = api.get("/api/quota").json
    assert quota is not None
    assert (0, 0) == (quota["used"], quota["cost_used"])


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"videos_limit": 1}, True),
        ({"videos_limit": 0}, False),
        ({"cost_limit": 0.4}, True),
        ({"cost_limit": 0.39}, False),
    ],
)
def test_estimate_tells_whether_the_quota_allows_it_when_asked(
    api: ApiClient, limits: dict[str, Any], allowed: bool
) -> None:
    """By number and by money, and as a create would find it."""
    api.put("/api/users/test_user/quota", json=limits, headers=ADMIN)

    found = estimate(api)
    made = api.post("/api/videos", json={"prompt": "a kite"})

    assert (allowed, allowed) == (found["allowed"], made.status_code == 202)


def test_estimate_is_the_dearest_when_a_fallback_may_serve(
    make_ctx: Callable[..., Context],
) -> None:
    """The price that is reserved then."""
    base = single_provider_catalog(base_url="http://127.0.0.1:1/v1", profile="sandbox")
    (cheap,) = base.providers.values()
    dear = replace(cheap, name="dear", prices={("sora-2", None): Decimal("0.50")})
    catalog = Catalog(
        providers={cheap.name: cheap, "dear": dear},
        models={"sora-2": Model("sora-2", (cheap.name, "dear"))},
    )

    found = estimate(client(create_app(make_ctx(catalog=catalog))))

    assert 2.0 == found["cost"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seconds": "99"}, "seconds"),
        ({"size": "1x1"}, "size"),
        ({"model": "sora-9"}, "model"),
        ({"prompt": ""}, "prompt"),
        ({"strange": 1}, "strange"),
        ({"input_reference": {"image_url": "data:image/png;base64,AAAA"}}, "input_reference"),
    ],
)
def test_estimate_refuses_when_a_create_would(
    api: ApiClient, fields: dict[str, Any], param: str
) -> None:
    """With the same words."""
    body = {"prompt": "a kite", **fields}

    estimated, made = (api.post(path, json=body) for path in ("/api/estimate", "/api/videos"))

    assert 400 == estimated.status_code
    assert estimated.json is not None
    assert made.json is not None
    assert param == estimated.json["error"]["param"]
    assert made.json["error"] == estimated.json["error"]
