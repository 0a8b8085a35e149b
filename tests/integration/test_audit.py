"""The audit trail: each act with the rights of an admin leaves a row, in the act's transaction."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from api import permissions
from api.contract import Access, of
from api.permissions import address
from orchestrator import accounts, audit, holds, pauses, quotas
from orchestrator.audit import Action
from orchestrator.context import Context
from orchestrator.errors import Conflict, NotFound
from tests.api_client import ApiClient
from tests.factories import fail

ADMIN = {"X-User-Id": "admin", "X-Request-Id": "req-of-the-act"}

# What each admin route that changes something is sent, and the act that it leaves.
ACTS: dict[str, tuple[dict[str, Any] | None, Action]] = {
    "keys.create": ({"user_id": "ann"}, Action.KEY_CREATED),
    "keys.revoke": (None, Action.KEY_REVOKED),
    "quotas.change": ({"videos_limit": 7}, Action.QUOTA_CHANGED),
    "quotas.reset": (None, Action.QUOTA_RESET),
    "providers.pause": ({"reason": "invoice"}, Action.PROVIDER_PAUSED),
    "providers.resume": (None, Action.PROVIDER_RESUMED),
    "retries.create": ({}, Action.VIDEOS_RETRIED),
    "users.erase": (None, Action.USER_ERASED),
    "admin.clear": (None, Action.CACHE_CLEARED),
}
# Takes an attempt of unknown outcome: test_outcomes.py asks for its act.
ELSEWHERE = {"holds.resolve"}


def _create(api: ApiClient, user: str = "ann") -> str:
    answer = api.post("/api/videos", json={"prompt": "a kite"}, headers={"X-User-Id": user})
    return str(answer.get_json()["id"])


def test_every_admin_route_that_changes_something_leaves_an_act(
    app: Flask, api: ApiClient, ctx: Context
) -> None:
    """Who, by which request, what: nobody can add a route and forget it."""
    values = {
        "key_id": accounts.create_key(ctx, "ann").key.id,
        "user_id": "ann",
        "name": "default",
    }
    routes = [
        one
        for one in permissions.table(app)
        if one.method != "GET"
        and getattr(of(app.view_functions[one.endpoint]), "access", None) == Access.ADMIN
        and one.endpoint not in ELSEWHERE
    ]

    for route in routes:
        body, action = ACTS[route.endpoint]
        response = api.open(
            address(route.path, values), method=route.method, json=body, headers=ADMIN
        )

        newest = audit.page(ctx, limit=1)[0]
        assert response.status_code < 300, route
        assert (action, "admin", "req-of-the-act") == (
            newest.action,
            newest.user_id,
            newest.request_id,
        )

    assert set(ACTS) == {route.endpoint for route in routes}


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("DELETE", "/api/videos/{}", Action.VIDEO_DELETED),
        ("POST", "/api/videos/{}/cancel", Action.VIDEO_CANCELLED),
        ("POST", "/api/videos/{}/archive", Action.VIDEO_ARCHIVED),
    ],
)
def test_act_is_noted_when_an_admin_touches_another_ones_video(
    api: ApiClient, ctx: Context, method: str, path: str, action: Action
) -> None:
    """With the owner; what a user does to one's own is no act."""
    foreign, own = _create(api, "ann"), _create(api, "ann")

    api.open(path.format(own), method=method, headers={"X-User-Id": "ann"})
    api.open(path.format(foreign), method=method, headers=ADMIN)

    (act,) = audit.page(ctx)
    assert (action, foreign, {"user_id": "ann"}) == (act.action, act.subject, act.data)


def test_act_names_nobody_when_it_was_done_at_the_command_line(ctx: Context) -> None:
    """There is no user there."""
    made = accounts.create_key(ctx, "ann", role="admin")

    (act,) = audit.page(ctx)

    assert (None, None, made.key.id) == (act.user_id, act.request_id, act.subject)
    assert {"user_id": "ann", "role": "admin"} == act.data
    assert made.secret not in str(act)


def test_nothing_is_noted_when_nothing_was_done(api: ApiClient, ctx: Context) -> None:
    """A refused act is no act."""
    video_id = _create(api)
    fail(ctx, video_id)

    with pytest.raises(NotFound):
        accounts.revoke_key(ctx, "key_none")
    with pytest.raises(NotFound):
        pauses.pause(ctx, "nobody", reason="?")
    with pytest.raises(Conflict):
        holds.resolve(ctx, video_id, "fail")
    api.post(f"/api/videos/{video_id}/cancel", headers=ADMIN)
    api.get("/api/admin/keys", headers=ADMIN)

    assert [] == audit.page(ctx)


def test_acts_are_found_by_user_kind_and_subject(api: ApiClient, ctx: Context) -> None:
    """Newest first, page by page."""
    for limit in (1, 2, 3):
        api.put("/api/users/ann/quota", json={"videos_limit": limit}, headers=ADMIN)
    quotas.reset(ctx, "bob")

    first = api.get("/api/admin/audit?subject=ann&limit=2", headers=ADMIN).get_json()
    second = api.get(
        f"/api/admin/audit?subject=ann&limit=2&before={first['next_cursor']}", headers=ADMIN
    ).get_json()
    resets = api.get("/api/admin/audit?action=quota.reset", headers=ADMIN).get_json()
    mine = api.get("/api/admin/audit?user_id=admin", headers=ADMIN).get_json()

    assert [3, 2] == [act["data"]["videos_limit"] for act in first["data"]]
    assert [1] == [act["data"]["videos_limit"] for act in second["data"]]
    assert second["next_cursor"] is None
    assert ["bob"] == [act["subject"] for act in resets["data"]]
    assert 3 == len(mine["data"])


def test_kind_is_refused_when_there_is_none_such(api: ApiClient) -> None:
    """The message lists those that there are."""
    answer = api.get("/api/admin/audit?action=key.stolen", headers=ADMIN)

    assert 400 == answer.status_code
    assert "key.created" in answer.get_json()["detail"]
