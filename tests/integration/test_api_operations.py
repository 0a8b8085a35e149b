"""What operators do over HTTP: pause providers, retry in bulk."""

from __future__ import annotations

from flask import Flask

from orchestrator import dispatch
from orchestrator.context import Context
from tests.api_client import ApiClient
from tests.factories import fail

ADMIN = {"X-User-Id": "admin"}


def _create(api: ApiClient, user: str = "ann", prompt: str = "a kite") -> str:
    answer = api.post("/api/videos", json={"prompt": prompt}, headers={"X-User-Id": user})
    assert 202 == answer.status_code
    return str(answer.get_json()["id"])


def test_pause_when_an_operator_says_so(api: ApiClient, ctx: Context) -> None:
    """A paused provider is sent nothing until it is resumed, and says why."""
    paused = api.post(
        "/api/admin/providers/default/pause", json={"reason": "invoice"}, headers=ADMIN
    )
    video_id = _create(api)

    assert 0 == dispatch.sweep(ctx).admitted
    (shown,) = paused.get_json()["data"]
    assert (True, None, "invoice") == (
        shown["paused"],
        shown["paused_until"],
        shown["pause_reason"],
    )

    resumed = api.post("/api/admin/providers/default/resume", headers=ADMIN)

    assert [False] == [one["paused"] for one in resumed.get_json()["data"]]
    assert 1 == dispatch.sweep(ctx).admitted
    assert 200 == api.get(f"/api/videos/{video_id}", headers={"X-User-Id": "ann"}).status_code


def test_pause_when_there_is_no_such_provider(api: ApiClient) -> None:
    """The answer names the providers that there are."""
    answer = api.post("/api/admin/providers/nobody/pause", json={}, headers=ADMIN)

    assert 404 == answer.status_code
    assert "default" in answer.get_json()["detail"]


def test_bulk_retry_when_some_were_refused_by_moderation(api: ApiClient, ctx: Context) -> None:
    """Failed videos are asked for again on their owners' quotas, moderated ones are left alone."""
    lost, moderated = _create(api, "ann"), _create(api, "bob")
    fail(ctx, lost, "lost")
    fail(ctx, moderated, "moderation_blocked")

    answer = api.post("/api/admin/retries", json={}, headers=ADMIN)

    assert 202 == answer.status_code
    (retried,) = answer.get_json()["data"]
    assert (lost, lost, "ann") == (
        retried["source_id"],
        retried["video"]["retry_of"],
        retried["video"]["user_id"],
    )


def test_bulk_retry_when_it_is_repeated(api: ApiClient, ctx: Context) -> None:
    """What was retried before is not retried again."""
    fail(ctx, _create(api), "lost")
    api.post("/api/admin/retries", json={}, headers=ADMIN)

    again = api.post("/api/admin/retries", json={}, headers=ADMIN)

    assert [] == again.get_json()["data"]


def test_bulk_retry_when_the_caller_is_no_admin(api: ApiClient) -> None:
    """Only operators act on other people's videos."""
    assert 403 == api.post("/api/admin/retries", json={}).status_code


def test_bulk_retry_when_a_quota_is_spent(api: ApiClient, ctx: Context, app: Flask) -> None:
    """A video whose owner may not have more is named with the reason."""
    fail(ctx, _create(api), "lost")
    api.put("/api/users/ann/quota", json={"videos_limit": 0}, headers=ADMIN)

    answer = api.post("/api/admin/retries", json={}, headers=ADMIN)

    (refused,) = answer.get_json()["data"]
    assert (None, "quota_exceeded") == (refused["video"], refused["error"]["code"])
