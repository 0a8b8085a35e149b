"""GET …/events/stream: what the address of a stream answers."""

from __future__ import annotations

import pytest

from api import create_app
from api.streams import feeds_of
from tests.api_client import client


def test_address_answers_with_events_that_no_proxy_holds_back(app, api, ctx):
    """Headers, the pause before a new try, the snapshot; then the end."""
    video_id = api.post("/api/videos", json={"prompt": "a red kite", "seconds": "5"}).json["id"]
    api.post(f"/api/videos/{video_id}/cancel")

    answer = api.get(f"/api/videos/{video_id}/events/stream")

    assert (200, "text/event-stream") == (answer.status_code, answer.mimetype)
    assert "no-cache, no-transform" == answer.headers["Cache-Control"]
    assert "no" == answer.headers["X-Accel-Buffering"]
    assert answer.text.startswith("retry: 3000\n\nid: 3\nevent: snapshot\ndata: {")
    assert answer.text.endswith("}\n\n")
    answer.close()
    assert 0 == len(feeds_of(app))


def test_address_answers_204_when_the_reader_knows_the_end(api):
    """That is how a browser stops to connect again; the header goes before the address."""
    video_id = api.post("/api/videos", json={"prompt": "a red kite", "seconds": "5"}).json["id"]
    api.post(f"/api/videos/{video_id}/cancel")

    answer = api.get(
        f"/api/videos/{video_id}/events/stream?after=1", headers={"Last-Event-ID": "3"}
    )

    assert (204, "") == (answer.status_code, answer.text)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/videos/video_00000000000000000000000000000000/events/stream", 404),
        ("/api/events/stream?after=none", 400),
        ("/api/events/stream?from=1", 400),
    ],
)
def test_address_explains_what_it_cannot_do(api, path, status):
    """Before the stream begins, as every other address."""
    assert status == api.get(path).status_code


def test_address_opens_no_stream_when_only_the_head_is_asked_for(app, api):
    """Nobody would ever read it."""
    answer = api.head("/api/events/stream")

    assert (200, "text/event-stream", 0) == (
        answer.status_code,
        answer.mimetype,
        len(feeds_of(app)),
    )


def test_address_asks_for_a_key(make_ctx):
    """As everywhere."""
    answer = client(create_app(make_ctx(auth="keys"))).get("/api/events/stream")

    assert 401 == answer.status_code
