"""The header Idempotency-Key."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.core import sql
from tests.factories import complete, fail, make_image

WISH = {"prompt": "a red kite", "seconds": "4"}


def test_create_replays_when_the_key_comes_again(api: ApiClient) -> None:
    """Same status, same video, said in a header; the quota counts one."""
    first = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})
    second = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})

    assert (202, 202) == (first.status_code, second.status_code)
    assert first.json == second.json
    assert (None, "true") == tuple(
        response.headers.get("Idempotent-Replayed") for response in (first, second)
    )
    quota = api.get("/api/quota").json
    assert quota is not None
    assert 1 == quota["used"]


def test_create_replays_when_the_same_request_comes_as_a_form_and_quoted(api: ApiClient) -> None:
    """Neither the encoding of the body nor the quotes of the draft standard make it another."""
    first = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})
    second = api.post(
        "/api/videos",
        data=WISH,
        content_type="multipart/form-data",
        headers={"Idempotency-Key": '"k"'},
    )

    assert first.json == second.json


def test_create_answers_422_when_the_key_comes_with_another_body(api: ApiClient) -> None:
    """A key stands for one request."""
    api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})

    response = api.post(
        "/api/videos", json=WISH | {"seconds": "5"}, headers={"Idempotency-Key": "k"}
    )

    assert 422 == response.status_code
    assert response.json is not None
    assert "idempotency_key_reused" == response.json["code"]


def test_create_is_free_again_when_its_first_request_was_refused(api: ApiClient) -> None:
    """A key that led to an error may be used for the repaired request."""
    refused = api.post("/api/videos", json={"prompt": ""}, headers={"Idempotency-Key": "k"})

    response = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})

    assert (400, 202) == (refused.status_code, response.status_code)


def test_keys_do_not_meet_when_they_are_of_two_users(api: ApiClient) -> None:
    """Another user's key is another key."""
    first, second = (
        api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k", "X-User-Id": user})
        for user in ("ann", "bob")
    )

    assert first.json is not None
    assert second.json is not None
    assert first.json["id"] != second.json["id"]


def test_keys_do_not_meet_when_they_are_for_two_videos(api: ApiClient, ctx: Context) -> None:
    """The id in the path belongs to the scope of a key."""
    sources = []
    for _ in range(2):
        made = api.post("/api/videos", json=WISH).json
        assert made is not None
        complete(ctx, made["id"])
        sources.append(made["id"])

    remixes = [
        api.post(
            f"/api/videos/{source}/remix", json={"prompt": "x"}, headers={"Idempotency-Key": "k"}
        )
        for source in (*sources, sources[0])
    ]

    made_from = [response.json and response.json["remixed_from_video_id"] for response in remixes]
    assert [*sources, sources[0]] == made_from
    assert remixes[0].json == remixes[2].json


def test_retry_replays_when_the_key_comes_again(api: ApiClient, ctx: Context) -> None:
    """A repeated retry is no conflict with itself."""
    made = api.post("/api/videos", json=WISH).json
    assert made is not None
    fail(ctx, made["id"])

    first, second = (
        api.post(f"/api/videos/{made['id']}/retry", headers={"Idempotency-Key": "k"})
        for _ in range(2)
    )

    assert (202, first.json) == (second.status_code, second.json)


def test_create_replays_the_deleted_video_when_it_was_deleted(api: ApiClient) -> None:
    """A replay never makes a new one."""
    made = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"}).json
    assert made is not None
    api.delete(f"/api/videos/{made['id']}")

    response = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})

    assert 202 == response.status_code
    assert response.json is not None
    assert (made["id"], "deleted") == (response.json["id"], response.json["status"])


def test_create_answers_410_when_the_video_of_the_key_was_removed(
    api: ApiClient, ctx: Context
) -> None:
    """The row was pruned; the key still stops a second payment."""
    made = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"}).json
    assert made is not None
    sql(ctx, "delete from videos where id = :id", id=made["id"])

    response = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})

    assert 410 == response.status_code
    assert response.json is not None
    assert "gone" == response.json["code"]
    assert [(0,)] == sql(ctx, "select count(*) from videos")


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "schlüssel", "tab\tkey"])
def test_create_answers_400_when_the_key_cannot_be_one(api: ApiClient, key: str) -> None:
    """1 to 255 visible ASCII characters."""
    response = api.post("/api/videos", json=WISH, headers={"Idempotency-Key": key})

    assert 400 == response.status_code
    assert response.json is not None
    assert "invalid_idempotency_key" == response.json["code"]


def test_create_makes_one_video_when_forty_requests_race_on_a_key(app: Flask) -> None:
    """Exactly one is new; all others are shown that one."""

    def post(number: int) -> tuple[int, str | None, str]:
        response = client(app).post("/api/videos", json=WISH, headers={"Idempotency-Key": "k"})
        assert response.json is not None
        return (
            response.status_code,
            response.headers.get("Idempotent-Replayed"),
            response.json["id"],
        )

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(post, range(40)))

    assert {202} == {status for status, _, _ in outcomes}
    assert 1 == len({video_id for _, _, video_id in outcomes})
    assert 1 == [replayed for _, replayed, _ in outcomes].count(None)


def test_create_tells_images_apart_when_only_they_differ(api: ApiClient) -> None:
    """The image belongs to the request that a key stands for."""
    answers = [
        api.post(
            "/api/videos",
            data=WISH | {"input_reference": (io.BytesIO(make_image(size=size)), "a.png")},
            headers={"Idempotency-Key": "k"},
        ).status_code
        for size in ((4, 4), (4, 4), (6, 6))
    ]

    assert [202, 202, 422] == answers
