"""`Prefer: wait=N`: answers that come when a video is finished."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from api import create_app
from api.waiting import EXTENSION, WaitingRoom, preferred
from orchestrator.context import Context
from orchestrator.errors import NotFound
from tests.api_client import ApiClient, client
from tests.clock import Clock
from tests.core import submit
from tests.factories import complete, fail

QUEUED = {"id": "v", "status": "queued"}
DONE = {"id": "v", "status": "completed"}


def room(clock: Clock, seats: int = 1) -> WaitingRoom:
    """A waiting room in that time."""
    return WaitingRoom(seats, sleep=clock.sleep, monotonic=clock)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ('wait="5"', 5),
        ("Wait = 5; foo=bar", 5),
        ("respond-async, wait=7", 7),
        ("respond-async,wait=8", 8),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=999999999", 60),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("await=5", None),
        ("", None),
    ],
)
def test_preference_is_read_when_it_can_be(header: str, seconds: int | None) -> None:
    """What cannot be read counts as not said, as the RFC wants it."""
    assert seconds == preferred(header)


def test_wait_ends_early_when_the_video_is_finished() -> None:
    """Nobody waits for the time that is left."""
    clock, looks = Clock(0.0), iter([QUEUED, QUEUED, DONE])

    found = room(clock).wait(QUEUED, 60, lambda: next(looks))

    assert (DONE, 3) == (found, len(clock.pauses))
    assert clock.now < 1


def test_wait_ends_in_time_when_the_video_is_not_finished() -> None:
    """After the seconds that were asked for, with looks that become rarer."""
    clock = Clock(0.0)

    found = room(clock).wait(QUEUED, 10, lambda: QUEUED)

    assert (QUEUED, pytest.approx(10)) == (found, clock.now)
    assert max(clock.pauses) <= 1
    assert len(clock.pauses) < 20


def test_wait_is_none_when_the_video_is_finished_already() -> None:
    """Then no seat is needed."""
    clock = Clock(0.0)

    assert room(clock, seats=1).wait(DONE, 60, lambda: DONE) == DONE
    assert [] == clock.pauses


def test_wait_answers_with_what_was_known_when_the_video_goes_away() -> None:
    """It was deleted meanwhile: the answer is no error."""

    def gone() -> dict[str, Any]:
        raise NotFound

    assert room(Clock(0.0)).wait(QUEUED, 5, gone) == QUEUED


def test_wait_is_refused_when_no_seat_is_free() -> None:
    """And a seat is free again when its waiter leaves."""
    clock = Clock(0.0)
    one = room(clock, seats=1)
    inner: list[Any] = []

    def look() -> dict[str, Any]:
        inner.append(one.wait(QUEUED, 5, lambda: DONE))
        return DONE

    assert one.wait(QUEUED, 5, look) == DONE
    assert [None] == inner
    assert one.wait(QUEUED, 5, lambda: DONE) == DONE


def test_wait_ends_when_the_room_is_closed() -> None:
    """The server stops: all are answered with what is known, and nobody waits any longer."""
    clock, looks = Clock(0.0), []
    one = room(clock)

    def look() -> dict[str, Any]:
        looks.append(clock.now)
        one.close()
        return QUEUED

    assert one.wait(QUEUED, 60, look) == QUEUED
    assert one.wait(QUEUED, 60, look) == QUEUED
    assert 1 == len(looks)


def test_get_waits_when_asked_to(api: ApiClient, ctx: Context) -> None:
    """The answer is the finished video, and says that the wish was granted."""
    video = submit(ctx, "test_user")
    worker = threading.Timer(0.2, lambda: complete(ctx, video.id))
    worker.start()

    response = api.get(f"/api/videos/{video.id}", headers={"Prefer": "wait=30"})

    worker.join()
    assert response.json is not None
    assert "completed" == response.json["status"]
    assert "wait=30" == response.headers["Preference-Applied"]


def test_create_waits_when_asked_to(api: ApiClient, ctx: Context) -> None:
    """A second under which nothing happens ends as it began: accepted."""
    response = api.post("/api/videos", json={"prompt": "a kite"}, headers={"Prefer": "wait=1"})

    assert response.json is not None
    assert (202, "queued") == (response.status_code, response.json["status"])
    assert "wait=1" == response.headers["Preference-Applied"]


def test_answer_comes_at_once_when_nobody_asked_to_wait(api: ApiClient, ctx: Context) -> None:
    """Without the header, or with one that cannot be read."""
    video = submit(ctx, "test_user")

    for headers in ({}, {"Prefer": "wait=soon"}):
        response = api.get(f"/api/videos/{video.id}", headers=headers)
        assert "Preference-Applied" not in response.headers


def test_finished_videos_answer_at_once_when_asked_to_wait(api: ApiClient, ctx: Context) -> None:
    """Also with 304 to who has that state already."""
    video = submit(ctx, "test_user")
    fail(ctx, video.id)
    wish = {"Prefer": "wait=60"}

    first = api.get(f"/api/videos/{video.id}", headers=wish)
    second = api.get(
        f"/api/videos/{video.id}", headers={**wish, "If-None-Match": first.headers["ETag"]}
    )

    assert (200, 304) == (first.status_code, second.status_code)
    assert "wait=60" == second.headers["Preference-Applied"]


def test_others_are_answered_at_once_when_all_seats_are_taken(
    make_ctx: Callable[..., Context],
) -> None:
    """A quarter of the threads may wait; the others stay free for those who do not."""
    ctx = make_ctx(web_threads=4)
    app = create_app(ctx)
    video = submit(ctx, "test_user")
    answers = []

    def look() -> dict[str, Any]:
        wish = {"Prefer": "wait=20"}
        answers.append(client(app).get(f"/api/videos/{video.id}", headers=wish))
        return DONE

    app.extensions[EXTENSION].wait(QUEUED, 5, look)

    assert [200] == [answer.status_code for answer in answers]
    assert "Preference-Applied" not in answers[0].headers
