"""GET, DELETE and the actions of /api/videos."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.context import Context
from orchestrator.db.transitions import After, record
from orchestrator.lifecycle import EventType
from orchestrator.rings import Ring
from tests.api_client import ApiClient, make_video
from tests.factories import RingRecorder, complete, fail, start

STRANGE_IDS = ["x", "video_", "video_" + "0" * 31, "video_" + "G" * 32, "video_%00", "..", "é" * 9]


def test_show_answers_the_video_when_it_is_the_callers(api: ApiClient) -> None:
    """GET says what POST said."""
    video = make_video(api)

    response = api.get(f"/api/videos/{video['id']}")

    assert (200, video) == (response.status_code, response.json)


def test_show_answers_304_when_the_client_has_this_state(api: ApiClient, ctx: Context) -> None:
    """The ETag changes with every change, and only then."""
    video = make_video(api)
    address = f"/api/videos/{video['id']}"
    headers = {"If-None-Match": api.get(address).headers["ETag"]}

    same = api.get(address, headers=headers)
    start(ctx, video["id"])
    other = api.get(address, headers=headers)

    assert (304, b"", 200) == (same.status_code, same.data, other.status_code)


def test_show_rings_a_poll_when_the_video_is_running(api: ApiClient, ctx: Context) -> None:
    """Whoever asks makes us look, once in a while."""
    video = make_video(api)
    start(ctx, video["id"])

    with ctx.database.transaction() as connection:
        record(connection, video["id"], EventType.PROGRESS, values={"last_polled_at": After(-60)})

    api.get(f"/api/videos/{video['id']}")
    api.get(f"/api/videos/{video['id']}")

    assert isinstance(ctx.broker, RingRecorder)
    assert [Ring("poll", ([video["id"]],), "poll")] == ctx.broker.rings[1:]


VIEWS = [
    ("GET", ""),
    ("DELETE", ""),
    ("GET", "/events"),
    ("GET", "/download"),
    ("GET", "/thumbnail"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("POST", "/archive"),
    ("POST", "/unarchive"),
]


@pytest.mark.parametrize("video_id", STRANGE_IDS)
@pytest.mark.parametrize(("method", "rest"), VIEWS)
def test_views_answer_404_when_the_id_cannot_be_ours(
    api: ApiClient, method: str, rest: str, video_id: str
) -> None:
    """A strange id is like any other that does not exist."""
    response = api.open(f"/api/videos/{video_id}{rest}", method=method)

    assert 404 == response.status_code


@pytest.mark.parametrize(("method", "rest"), [*VIEWS, ("POST", "/remix")])
def test_views_answer_404_when_the_video_is_somebody_elses(
    api: ApiClient, ctx: Context, method: str, rest: str
) -> None:
    """Nobody learns that another user's video exists, and nothing happens to it."""
    video = make_video(api, "ann")
    complete(ctx, video["id"])
    body = {"prompt": "x"} if rest == "/remix" else None

    response = api.open(
        f"/api/videos/{video['id']}{rest}",
        method=method,
        json=body,
        headers={"X-User-Id": "bob"},
    )

    assert 404 == response.status_code
    seen = api.get(f"/api/videos/{video['id']}", headers={"X-User-Id": "ann"}).json
    assert seen is not None
    assert ("completed", None) == (seen["status"], seen["archived_at"])


def test_show_opens_to_an_admin_when_the_video_is_somebody_elses(api: ApiClient) -> None:
    """Operators see everything."""
    video = make_video(api, "ann")

    response = api.get(f"/api/videos/{video['id']}", headers={"X-User-Id": "admin"})

    assert 200 == response.status_code


def test_cancel_ends_the_video_when_it_is_queued(api: ApiClient) -> None:
    """Its place in the quota comes back, and a second cancel answers the same."""
    video = make_video(api)

    first = api.post(f"/api/videos/{video['id']}/cancel")
    second = api.post(f"/api/videos/{video['id']}/cancel")

    assert (200, first.json) == (second.status_code, second.json)
    assert first.json is not None
    assert ("cancelled", "released") == (first.json["status"], first.json["quota_state"])


def test_cancel_answers_409_when_the_video_is_finished(api: ApiClient, ctx: Context) -> None:
    """The completion was first."""
    video = make_video(api)
    complete(ctx, video["id"])

    response = api.post(f"/api/videos/{video['id']}/cancel")

    assert 409 == response.status_code
    assert response.json is not None
    assert "already_finished" == response.json["code"]


def test_delete_hides_the_video_when_it_is_running(api: ApiClient, ctx: Context) -> None:
    """It is cancelled and deleted at once; then it is gone for everybody."""
    video = make_video(api)
    start(ctx, video["id"])

    response = api.delete(f"/api/videos/{video['id']}")
    again = api.delete(f"/api/videos/{video['id']}")

    assert (200, 404) == (response.status_code, again.status_code)
    assert response.json is not None
    assert "deleted" == response.json["status"]
    assert 404 == api.get(f"/api/videos/{video['id']}").status_code


def test_remix_makes_a_linked_video_when_the_source_is_completed(
    api: ApiClient, ctx: Context
) -> None:
    """It takes over model, length and size."""
    source = make_video(api, seconds=7, size="64x64")
    complete(ctx, source["id"])

    response = api.post(f"/api/videos/{source['id']}/remix", json={"prompt": "now in blue"})

    assert 202 == response.status_code
    assert response.json is not None
    assert (source["id"], "7", "64x64", "now in blue") == tuple(
        response.json[name] for name in ("remixed_from_video_id", "seconds", "size", "prompt")
    )


def test_remix_answers_409_when_the_source_is_not_completed(api: ApiClient) -> None:
    """There is nothing yet to vary."""
    source = make_video(api)

    response = api.post(f"/api/videos/{source['id']}/remix", json={"prompt": "x"})

    assert 409 == response.status_code
    assert response.json is not None
    assert "not_completed" == response.json["code"]


def test_remix_answers_404_when_the_source_is_deleted(api: ApiClient, ctx: Context) -> None:
    """A deleted video is gone."""
    source = make_video(api)
    complete(ctx, source["id"])
    api.delete(f"/api/videos/{source['id']}")

    response = api.post(f"/api/videos/{source['id']}/remix", json={"prompt": "x"})

    assert 404 == response.status_code


@pytest.mark.parametrize("body", [{}, {"prompt": ""}, {"prompt": "x", "seconds": "4"}])
def test_remix_answers_400_when_the_body_breaks_a_rule(
    api: ApiClient, ctx: Context, body: Any
) -> None:
    """A remix takes a prompt and nothing else."""
    source = make_video(api)
    complete(ctx, source["id"])

    response = api.post(f"/api/videos/{source['id']}/remix", json=body)

    assert 400 == response.status_code


def test_retry_makes_a_linked_video_when_the_first_has_failed(api: ApiClient, ctx: Context) -> None:
    """One retry may be under way at a time."""
    video = make_video(api)
    fail(ctx, video["id"])

    response = api.post(f"/api/videos/{video['id']}/retry")
    second = api.post(f"/api/videos/{video['id']}/retry")

    assert (202, 409) == (response.status_code, second.status_code)
    assert response.json is not None
    assert video["id"] == response.json["retry_of"]


def test_retry_answers_409_when_the_video_is_still_alive(api: ApiClient) -> None:
    """Only what has ended badly can be asked for again."""
    video = make_video(api)

    response = api.post(f"/api/videos/{video['id']}/retry")

    assert 409 == response.status_code
    assert response.json is not None
    assert "not_retryable" == response.json["code"]


def test_archive_hides_the_video_from_lists_when_asked(api: ApiClient) -> None:
    """And unarchive brings it back; both may be repeated."""
    video = make_video(api)
    address = f"/api/videos/{video['id']}"

    archived = [api.post(f"{address}/archive") for _ in range(2)]
    while_archived = api.get("/api/videos").json
    back = [api.post(f"{address}/unarchive") for _ in range(2)]

    assert [200] * 4 == [response.status_code for response in archived + back]
    assert while_archived is not None
    assert [] == while_archived["data"]
    assert back[0].json is not None
    assert back[0].json["archived_at"] is None


def test_failed_video_shows_its_error_when_asked_for(api: ApiClient, ctx: Context) -> None:
    """The failure is data of the video, not of the answer."""
    video = make_video(api)
    fail(ctx, video["id"], "moderation_blocked")

    response = api.get(f"/api/videos/{video['id']}")

    assert response.json is not None
    assert {"code": "moderation_blocked", "message": "No."} == response.json["error"]
