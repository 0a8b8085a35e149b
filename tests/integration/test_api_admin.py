"""What admins may do: quotas, keys, cache, pending and held videos."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.context import Context
from tests.api_client import ApiClient
from tests.core import sql
from tests.factories import complete, fail, start

ADMIN = {"X-User-Id": "admin"}


def make_video(api: ApiClient, user: str = "ann", **body: Any) -> dict[str, Any]:
    """A video that was just asked for."""
    made = api.post(
        "/api/videos", json={"prompt": "a red kite"} | body, headers={"X-User-Id": user}
    )
    assert made.json is not None
    return dict(made.json)


def test_quota_changes_what_is_named_when_put(api: ApiClient) -> None:
    """A new user gets the rest by default; null takes a limit away."""
    first = api.put(
        "/api/users/ann/quota",
        json={"videos_limit": 7, "cost_limit": 12.5, "max_in_flight": 2, "weight": 2.5},
        headers=ADMIN,
    )
    second = api.put(
        "/api/users/ann/quota", json={"cost_limit": None, "max_in_flight": None}, headers=ADMIN
    )

    names = ("videos_limit", "cost_limit", "max_in_flight", "weight")
    assert first.json is not None
    assert second.json is not None
    assert (7, 12.5, 2, 2.5) == tuple(first.json[name] for name in names)
    assert (7, None, None, 2.5) == tuple(second.json[name] for name in names)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"videos_limit": -1}, "videos_limit"),
        ({"videos_limit": 2**31}, "videos_limit"),
        ({"videos_limit": 1.5}, "videos_limit"),
        ({"videos_limit": None}, "videos_limit"),
        ({"videos_limit": True}, "videos_limit"),
        ({"cost_limit": -0.01}, "cost_limit"),
        ({"cost_limit": 1e12}, "cost_limit"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"weight": 0}, "weight"),
        ({"weight": 5e-324}, "weight"),
        ({"weight": None}, "weight"),
        ({"used": 5}, "used"),
    ],
)
def test_quota_names_the_field_when_it_breaks_a_rule(
    api: ApiClient, body: Any, param: str | None
) -> None:
    """Nothing is changed by a request that is wrong in part."""
    response = api.put("/api/users/ann/quota", json=body, headers=ADMIN)

    assert 400 == response.status_code
    assert response.json is not None
    assert param == response.json["error"]["param"]


@pytest.mark.parametrize("user_id", ["ann", "a/b", "a//b", "Zo%C3%AB", "quota", "x/quota/reset"])
def test_quota_finds_any_user_when_the_id_is_strange(api: ApiClient, user_id: str) -> None:
    """Ids are the callers' own text, slashes included."""
    address = f"/api/users/{user_id}/quota"
    api.put(address, json={"videos_limit": 3}, headers=ADMIN)

    shown = api.get(address, headers=ADMIN)
    reset = api.post(f"{address}/reset", headers=ADMIN)

    assert shown.json is not None
    assert reset.json is not None
    assert (3, 3) == (shown.json["videos_limit"], reset.json["videos_limit"])


@pytest.mark.parametrize("user_id", ["a" * 256, "%00", "%20"])
def test_quota_answers_400_when_the_id_cannot_be_a_users(api: ApiClient, user_id: str) -> None:
    """1 to 255 printable characters."""
    response = api.put(f"/api/users/{user_id}/quota", json={"videos_limit": 3}, headers=ADMIN)

    assert 400 == response.status_code


def test_quota_starts_anew_when_reset(api: ApiClient) -> None:
    """What was used counts no longer."""
    api.post("/api/videos", json={"prompt": "x"}, headers={"X-User-Id": "ann"})

    response = api.post("/api/users/ann/quota/reset", headers=ADMIN)

    assert response.json is not None
    assert (0, 0.0) == (response.json["used"], response.json["cost_used"])


def test_key_is_shown_once_when_made(api: ApiClient) -> None:
    """The secret is in the answer to POST, and nowhere later."""
    made = api.post(
        "/api/admin/keys",
        json={"user_id": "ann", "role": "admin", "name": "laptop", "expires_at": None},
        headers=ADMIN,
    )
    listed = api.get("/api/admin/keys?user_id=ann", headers=ADMIN)

    assert 201 == made.status_code
    shown = made.json
    assert shown is not None
    assert listed.json is not None
    assert shown.pop("secret").startswith(shown["prefix"])
    assert [shown] == listed.json["data"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": " ann"}, "user_id"),
        ({"user_id": "a\0"}, "user_id"),
        ({"user_id": "ann", "role": "king"}, "role"),
        ({"user_id": "ann", "name": "\0"}, "name"),
        ({"user_id": "ann", "expires_at": "soon"}, "expires_at"),
        ({"user_id": "ann", "secret": "mine"}, "secret"),
    ],
)
def test_key_names_the_field_when_it_breaks_a_rule(api: ApiClient, body: Any, param: str) -> None:
    """As everywhere."""
    response = api.post("/api/admin/keys", json=body, headers=ADMIN)

    assert 400 == response.status_code
    assert response.json is not None
    assert param == response.json["error"]["param"]


def test_key_is_revoked_when_deleted(api: ApiClient) -> None:
    """Twice is as good as once."""
    made = api.post("/api/admin/keys", json={"user_id": "ann"}, headers=ADMIN).json
    assert made is not None

    first, second = (api.delete(f"/api/admin/keys/{made['id']}", headers=ADMIN) for _ in range(2))

    assert (200, first.json) == (second.status_code, second.json)
    assert first.json is not None
    assert first.json["revoked_at"] is not None


@pytest.mark.parametrize("key_id", ["key_none", "%00", "a%20b", "x" * 65])
def test_key_answers_404_when_there_is_none(api: ApiClient, key_id: str) -> None:
    """Strange ids included."""
    response = api.delete(f"/api/admin/keys/{key_id}", headers=ADMIN)

    assert 404 == response.status_code


def test_cache_is_emptied_when_deleted(api: ApiClient) -> None:
    """Stats count the videos in it."""
    api.post("/api/videos", json={"prompt": "x"})

    before = api.get("/api/admin/cache", headers=ADMIN)
    cleared = api.delete("/api/admin/cache", headers=ADMIN)
    after = api.get("/api/admin/cache", headers=ADMIN)

    assert before.json is not None
    assert after.json is not None
    assert (1, {"removed": 1}, 0) == (before.json["videos"], cleared.json, after.json["videos"])


def test_pending_shows_what_is_not_finished_when_asked(api: ApiClient) -> None:
    """Of all users, oldest first."""
    for user in ("ann", "bob", "cleo"):
        api.post("/api/videos", json={"prompt": "x"}, headers={"X-User-Id": user})

    response = api.get("/api/admin/pending?limit=2", headers=ADMIN)

    assert response.json is not None
    assert ["ann", "bob"] == [video["user_id"] for video in response.json["data"]]


def queue_of(api: ApiClient) -> tuple[object, ...]:
    """What is queued, scheduled, held and in progress, and since when the oldest waits."""
    found = api.get("/api/admin/queue", headers=ADMIN).json
    assert found is not None
    return tuple(
        found[name] for name in ("queued", "scheduled", "held", "in_progress", "oldest_at")
    )


def test_queue_tells_what_waits_when_asked(api: ApiClient, ctx: Context) -> None:
    """What may be submitted now, what may not yet, and what is under way."""
    waiting, _, running = (
        make_video(api, **body) for body in ({}, {"run_at": "2026-12-24T18:00:00Z"}, {})
    )
    start(ctx, running["id"])

    assert (1, 1, 0, 1, waiting["created_at"]) == queue_of(api)


def test_held_videos_are_counted_by_themselves(api: ApiClient, ctx: Context) -> None:
    """They wait for an operator: neither for a slot nor for their time."""
    held, waiting, later = (
        make_video(api, **body) for body in ({}, {}, {"run_at": "2026-12-24T18:00:00Z"})
    )
    for video in (held, later):
        sql(ctx, "update videos set hold_reason = 'ambiguous' where id = :id", id=video["id"])

    assert (1, 0, 2, 0, waiting["created_at"]) == queue_of(api)


def test_queue_is_empty_when_nothing_is_there(api: ApiClient) -> None:
    """Nothing waits since never."""
    found = api.get("/api/admin/queue", headers=ADMIN).json

    assert found is not None
    assert (0, None) == (found["queued"], found["oldest_at"])


def test_throughput_counts_each_minute_when_asked(api: ApiClient, ctx: Context) -> None:
    """What happened is in the last minutes; the quiet ones are there, too."""
    made = [make_video(api)["id"] for _ in range(3)]
    complete(ctx, made[0])
    fail(ctx, made[1])

    found = api.get("/api/admin/throughput?minutes=3", headers=ADMIN).json

    assert found is not None
    assert 3 == len(found["data"])
    sums = {name: sum(one[name] for one in found["data"]) for name in ("created", "completed")}
    assert {"created": 3, "completed": 1} == sums
    assert (1, 0) == tuple(
        sum(one[name] for one in found["data"]) for name in ("failed", "cancelled")
    )


def test_users_are_listed_once_when_paged(api: ApiClient) -> None:
    """By name, however small the pages; each with its quota."""
    users = ["ann", "bob/two words", "cleo"]
    for user in users:
        make_video(api, user=user)

    seen = []
    address = "/api/admin/users?limit=1"
    while address:
        response = api.get(address, headers=ADMIN)
        assert response.json is not None
        seen += [(one["user_id"], one["used"]) for one in response.json["data"]]
        link = response.headers.get("Link")
        address = "" if link is None else link.split("<")[1].split(">")[0]

    assert sorted(seen) == seen
    assert [(user, 1) for user in users] == [one for one in seen if one[0] in users]


def test_deliveries_of_everybody_are_listed_when_asked(api: ApiClient) -> None:
    """An admin sees those of all users."""
    for user in ("ann", "bob"):
        made = make_video(api, user=user, webhook_url="https://93.184.216.34/hook")
        api.post(f"/api/videos/{made['id']}/cancel", headers={"X-User-Id": user})

    found = api.get("/api/admin/deliveries", headers=ADMIN).json

    assert found is not None
    assert ["video.cancelled"] * 2 == [one["type"] for one in found["data"]]


def test_held_is_empty_when_nothing_waits(api: ApiClient) -> None:
    """A list, even so."""
    response = api.get("/api/admin/held", headers=ADMIN)

    assert {"data": []} == response.json


def test_decision_answers_409_when_the_video_is_not_held(api: ApiClient) -> None:
    """There is nothing to decide."""
    made = api.post("/api/videos", json={"prompt": "x"}).json
    assert made is not None

    response = api.post(f"/api/admin/held/{made['id']}", json={"decision": "retry"}, headers=ADMIN)

    assert 409 == response.status_code
    assert response.json is not None
    assert "not_held" == response.json["code"]


@pytest.mark.parametrize(
    "body", [{}, {"decision": "forget"}, {"decision": "adopt", "provider_video_id": ""}]
)
def test_decision_answers_400_when_it_is_none(api: ApiClient, ctx: Context, body: Any) -> None:
    """adopt, retry or fail."""
    made = api.post("/api/videos", json={"prompt": "x"}).json
    assert made is not None

    response = api.post(f"/api/admin/held/{made['id']}", json=body, headers=ADMIN)

    assert 400 == response.status_code
