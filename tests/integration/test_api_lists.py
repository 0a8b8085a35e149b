"""Lists: filters, pages, events, statistics."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.context import Context
from tests.api_client import ApiClient
from tests.factories import complete, fail


def make_video(api: ApiClient, user: str = "test_user", **body: Any) -> str:
    """The id of a queued video."""
    made = api.post(
        "/api/videos", json={"prompt": "a red kite"} | body, headers={"X-User-Id": user}
    ).json
    assert made is not None
    return str(made["id"])


def ids(api: ApiClient, address: str) -> list[str]:
    """The ids of one page, in its order."""
    response = api.get(address)
    assert 200 == response.status_code, response.text
    assert response.json is not None
    return [video["id"] for video in response.json["data"]]


def test_list_shows_the_callers_videos_when_asked(api: ApiClient) -> None:
    """Newest first, and nobody else's."""
    made = [make_video(api) for _ in range(3)]
    api.post("/api/videos", json={"prompt": "x"}, headers={"X-User-Id": "bob"})

    assert made[::-1] == ids(api, "/api/videos")


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_list_shows_every_video_once_when_paged(api: ApiClient, limit: int) -> None:
    """Following Link or next_cursor gives the same; new videos do not disturb."""
    made = [make_video(api) for _ in range(7)]

    seen: list[str] = []
    address: str | None = f"/api/videos?limit={limit}"
    while address is not None:
        response = api.get(address)
        assert response.json is not None
        seen += [video["id"] for video in response.json["data"]]
        make_video(api)
        link = response.headers.get("Link")
        assert (link is None) == (response.json["next_cursor"] is None)
        address = None if link is None else link.split("<")[1].split(">")[0]

    assert made[::-1] == seen


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=completed", {"done"}),
        ("status=completed,failed", {"done", "failed"}),
        ("status=completed&status=failed", {"done", "failed"}),
        ("status=deleted", {"deleted"}),
        ("model=sora-2-pro", {"pro"}),
        ("q=ZEBRA", {"pro"}),
        ("q=100%25", {"done"}),
        ("q=_", set()),
        ("archived=true", {"archived"}),
        ("archived=any", {"done", "failed", "pro", "archived"}),
        ("", {"done", "failed", "pro"}),
        ("created_after=2020-01-01T00:00:00Z", {"done", "failed", "pro"}),
        ("created_after=2020-01-01T00:00:00%2B02:00", {"done", "failed", "pro"}),
        ("created_after=2020-01-01T00:00:00+02:00", {"done", "failed", "pro"}),
        ("created_before=2020-01-01T00:00:00Z", set()),
    ],
)
def test_list_keeps_what_the_filter_wants_when_given(
    api: ApiClient, ctx: Context, query: str, expected: set[str]
) -> None:
    """Filters by status, model, time, text and archive."""
    made = {
        "done": make_video(api, prompt="sold 100% of it"),
        "failed": make_video(api),
        "pro": make_video(api, model="sora-2-pro", prompt="a Zebra"),
        "archived": make_video(api),
        "deleted": make_video(api),
    }
    complete(ctx, made["done"])
    fail(ctx, made["failed"])
    api.post(f"/api/videos/{made['archived']}/archive")
    api.delete(f"/api/videos/{made['deleted']}")

    found = ids(api, f"/api/videos?{query}")

    assert {made[name] for name in expected} == set(found)


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ("status=done", "status", "'queued', 'in_progress'"),
        ("limit=0", "limit", "from 1 to 100"),
        ("limit=101", "limit", "from 1 to 100"),
        ("limit=x", "limit", "integer"),
        ("limit=1&limit=2", "limit", "more than once"),
        ("archived=yes", "archived", "'true', 'false' or 'any'"),
        ("created_after=yesterday", "created_after", "a time such as"),
        ("created_after=1700000000", "created_after", "a time such as"),
        ("created_before=2026-01-01T00:00:00", "created_before", "timezone"),
        ("created_before=0001-01-01T00:00:00%2B10:00", "created_before", "out of range"),
        ("model=", "model", "1 to 255 characters"),
        ("q=", "q", "1 to 200 characters"),
        ("q=a%00b", "q", "NUL"),
        ("sort=created_at", "sort", "it takes status, model"),
        ("cursor=nonsense", "cursor", "cursor"),
        ("cursor=W10", "cursor", "cursor"),
        ("cursor=%C3%A9", "cursor", "cursor"),
    ],
)
def test_list_names_the_parameter_when_it_breaks_a_rule(
    api: ApiClient, query: str, param: str, says: str
) -> None:
    """A filter that we do not understand is not silently ignored."""
    response = api.get(f"/api/videos?{query}")

    assert 400 == response.status_code
    assert response.json is not None
    assert param == response.json["error"]["param"]
    assert says in response.json["detail"]


def test_list_refuses_a_cursor_when_the_filters_are_others(api: ApiClient) -> None:
    """A cursor belongs to the list that gave it."""
    for _ in range(2):
        make_video(api)
    page = api.get("/api/videos?limit=1").json
    assert page is not None

    response = api.get(f"/api/videos?limit=1&status=queued&cursor={page['next_cursor']}")

    assert 400 == response.status_code


def test_history_tells_what_happened_when_asked(api: ApiClient) -> None:
    """Oldest first, numbered without gaps."""
    video_id = make_video(api)
    api.post(f"/api/videos/{video_id}/cancel")

    response = api.get(f"/api/videos/{video_id}/events")

    assert response.json is not None
    told = [(event["seq"], event["event_type"]) for event in response.json["data"]]
    assert [(1, "created"), (2, "status_changed"), (3, "cancelled")] == told


def test_history_goes_on_behind_an_event_when_asked(api: ApiClient) -> None:
    """`after` takes the id of the last event that one has."""
    video_id = make_video(api)
    api.post(f"/api/videos/{video_id}/cancel")
    first = api.get(f"/api/videos/{video_id}/events?limit=1").json
    assert first is not None

    rest = api.get(f"/api/videos/{video_id}/events?after={first['data'][0]['id']}").json

    assert rest is not None
    assert [2, 3] == [event["seq"] for event in rest["data"]]


def test_events_page_through_all_when_followed(api: ApiClient) -> None:
    """Newest first over all of a user's videos; next_cursor goes into before."""
    for _ in range(5):
        make_video(api)
    api.post("/api/videos", json={"prompt": "x"}, headers={"X-User-Id": "bob"})

    seen: list[int] = []
    address = "/api/events?limit=2"
    while address:
        response = api.get(address)
        assert response.json is not None
        seen += [event["id"] for event in response.json["data"]]
        cursor = response.json["next_cursor"]
        address = f"/api/events?limit=2&before={cursor}" if cursor else ""

    assert 5 == len(seen)
    assert sorted(seen, reverse=True) == seen


def test_events_keep_the_types_that_are_wanted_when_given(api: ApiClient) -> None:
    """Several types are joined by commas or repeated."""
    video_id = make_video(api)
    api.delete(f"/api/videos/{video_id}")

    response = api.get("/api/events?types=created,deleted&types=cancelled")

    assert response.json is not None
    told = [event["event_type"] for event in response.json["data"]]
    assert ["deleted", "cancelled", "created"] == told


@pytest.mark.parametrize(
    "query", ["types=born", "types=&types=", "limit=1001", "before=-1", "before=9" + "9" * 19]
)
def test_events_name_the_parameter_when_it_breaks_a_rule(api: ApiClient, query: str) -> None:
    """As for lists of videos."""
    response = api.get(f"/api/events?{query}")

    assert 400 == response.status_code
    assert response.json is not None
    assert query.split("=")[0] == response.json["error"]["param"]


def test_stats_count_by_status_when_asked(api: ApiClient, ctx: Context) -> None:
    """Of the caller's videos, with the spend."""
    complete(ctx, make_video(api))
    fail(ctx, make_video(api))
    make_video(api)

    response = api.get("/api/stats")

    assert response.json is not None
    counts = {name: response.json[name] for name in ("total", "completed", "failed", "queued")}
    assert {"total": 3, "completed": 1, "failed": 1, "queued": 1} == counts


@pytest.mark.parametrize("address", ["/api/stats", "/api/events"])
def test_everybodys_data_are_for_admins_when_asked_for(api: ApiClient, address: str) -> None:
    """scope=all is 403 for users."""
    make_video(api)

    user = api.get(f"{address}?scope=all")
    admin = api.get(f"{address}?scope=all", headers={"X-User-Id": "admin"})

    assert (403, 200) == (user.status_code, admin.status_code)
    assert admin.json is not None
    assert 1 == (admin.json.get("total") or len(admin.json["data"]))


@pytest.mark.parametrize("address", ["/api/videos", "/api/stats", "/api/events"])
def test_data_of_one_user_are_for_admins_and_that_user(api: ApiClient, address: str) -> None:
    """user_id is 403 for others; an admin sees what that user sees, and nothing else."""
    make_video(api, user="ann")
    make_video(api, user="bob")

    asked = {
        name: api.get(f"{address}?user_id=ann", headers={"X-User-Id": name})
        for name in ("ann", "bob", "admin")
    }

    assert [200, 403, 200] == [answer.status_code for answer in asked.values()]
    assert asked["ann"].json == asked["admin"].json
    assert asked["admin"].json is not None
    assert 1 == (asked["admin"].json.get("total") or len(asked["admin"].json["data"]))


def test_quota_shows_use_and_remainder_when_asked(api: ApiClient) -> None:
    """100 a month for a new user."""
    make_video(api)

    response = api.get("/api/quota")

    assert response.json is not None
    assert (1, 100, 99, 0.4) == tuple(
        response.json[name] for name in ("used", "limit", "remaining", "cost_used")
    )


def test_models_say_what_is_allowed_when_asked(api: ApiClient) -> None:
    """With the prices of each."""
    response = api.get("/api/models")

    assert response.json is not None
    prices = {model["id"]: model["price_per_second"] for model in response.json["data"]}
    assert {"sora-2": 0.1, "sora-2-pro": 0.2} == prices
