"""The openai SDK tries again by itself and sends no key: its tries of one call are one video."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from orchestrator import submissions
from orchestrator.context import Context
from orchestrator.records import Caller
from orchestrator.submissions import Submitted
from orchestrator.wishes import LONGEST_WINDOW, SdkTry
from tests.api_client import ApiClient
from tests.core import make_request, race, row, sql
from tests.factories import complete

WISH = {"prompt": "a red kite", "seconds": "2"}


def post(
    api: ApiClient,
    number: int | None = None,
    path: str = "/v1/videos",
    body: Any = WISH,
    **headers: str,
) -> tuple[str, str | None]:
    """(id, Idempotent-Replayed) of the answer to such a try."""
    if number is not None:
        headers["X-Stainless-Retry-Count"] = str(number)
    response = api.post(path, json=body, headers=headers)
    assert 200 == response.status_code, response.text
    assert response.json is not None
    return response.json["id"], response.headers.get("Idempotent-Replayed")


def made(
    ctx: Context, number: int, *, waiting: float = 0.0, caller: Caller | None = None
) -> Submitted:
    """What such a try makes that came `waiting` seconds ago."""
    key = SdkTry(number, arrived=perf_counter() - waiting)
    return submissions.create(ctx, caller or Caller("ann"), make_request(), key=key)


@pytest.mark.parametrize("first", [None, 0])
def test_a_retry_is_its_first_request_when_the_answer_was_lost(
    api: ApiClient, first: int | None
) -> None:
    """The same video, and a header that says why."""
    before = post(api, first)

    again = post(api, 1)

    assert (before[0], "sdk-retry") == again
    quota = api.get("/api/quota").json
    assert quota is not None
    assert 1 == quota["used"]


def test_every_retry_of_a_call_is_its_first_request_when_all_answers_were_lost(
    api: ApiClient,
) -> None:
    """The SDK tries three times unless told otherwise."""
    tries = [post(api, number) for number in range(3)]

    assert 1 == len({video_id for video_id, _ in tries})


def test_two_retries_are_two_videos_when_there_were_two_calls(api: ApiClient) -> None:
    """Each video absorbs a try once: two calls with their retries are two videos."""
    first, second = post(api, 0), post(api, 0)

    retries = [post(api, 1), post(api, 1)]
    strange = post(api, 1)

    assert [first[0], second[0]] == [video_id for video_id, _ in retries]
    assert strange[1] is None
    assert strange[0] not in {first[0], second[0]}


def test_a_retry_is_a_new_video_when_the_first_was_looked_at(api: ApiClient) -> None:
    """Its client knows it, so this is another call."""
    video_id, _ = post(api, 0)
    api.get(f"/v1/videos/{video_id}")

    again = post(api, 1)

    assert video_id != again[0]
    assert again[1] is None


def test_a_retry_still_counts_when_only_a_dashboard_has_looked(api: ApiClient) -> None:
    """Another door: that somebody sees the video does not tell the SDK of it."""
    video_id, _ = post(api, 0)
    api.get(f"/api/videos/{video_id}")

    assert (video_id, "sdk-retry") == post(api, 1)


@pytest.mark.parametrize(
    ("age", "number", "headers", "same"),
    [
        (600, 1, {}, True),
        (620, 1, {}, False),
        (620, 2, {}, True),
        (15, 1, {"X-Stainless-Read-Timeout": "10"}, True),
        (25, 1, {"X-Stainless-Read-Timeout": "10"}, False),
        (600, 1, {"X-Stainless-Read-Timeout": "soon"}, True),
        (600, 1, {"X-Stainless-Read-Timeout": "-1"}, True),
        (600, 1, {"X-Stainless-Read-Timeout": "nan"}, True),
        (LONGEST_WINDOW + 20, 9, {"X-Stainless-Read-Timeout": "1e9"}, False),
    ],
)
def test_a_retry_is_a_new_video_when_the_first_is_too_long_ago(
    api: ApiClient, ctx: Context, age: float, number: int, headers: dict[str, str], same: bool
) -> None:
    """The client's own patience, for each try, is how long it may take."""
    video_id, _ = post(api, 0)
    sql(ctx, "update videos set created_at = created_at - make_interval(secs => :age)", age=age)

    assert same == (video_id == post(api, number, **headers)[0])


@pytest.mark.parametrize("count", ["x", "-1", "1.5", "", "12345"])
def test_a_strange_count_is_a_first_request_when_it_cannot_be_read(
    api: ApiClient, count: str
) -> None:
    """Nobody is given somebody else's video for a bad header."""
    video_id, _ = post(api, 0)
    response = api.post("/v1/videos", json=WISH, headers={"X-Stainless-Retry-Count": count})

    assert response.json is not None
    assert video_id != response.json["id"]


def test_a_retry_is_a_new_video_when_anything_differs(api: ApiClient) -> None:
    """Another body, another user."""
    video_id, _ = post(api, 0)

    others = [post(api, 1, body={**WISH, "seconds": "3"}), post(api, 1, **{"X-User-Id": "bob"})]

    assert video_id not in {other for other, _ in others}


def test_a_retry_is_a_new_video_when_its_key_differs(ctx: Context) -> None:
    """Two applications of one user may want the same at the same time."""
    sql(
        ctx,
        "insert into api_keys (id, key_hash, prefix, user_id) "
        "values ('k1', 'h1', 'p1', 'ann'), ('k2', 'h2', 'p2', 'ann')",
    )
    first = made(ctx, 0, caller=Caller("ann", api_key_id="k1"))

    other = made(ctx, 1, caller=Caller("ann", api_key_id="k2"))
    same = made(ctx, 1, caller=Caller("ann", api_key_id="k1"))

    assert (False, True) == (other.replayed, same.sdk_retry)
    assert first.video.id == same.video.id


def test_a_retry_is_a_new_video_when_the_first_was_deleted(api: ApiClient) -> None:
    """Who has deleted it does not wait for it."""
    video_id, _ = post(api, 0)
    api.delete(f"/v1/videos/{video_id}")

    assert video_id != post(api, 1)[0]


def test_a_remix_is_made_once_when_its_answer_was_lost(api: ApiClient, ctx: Context) -> None:
    """Every call that costs money is covered."""
    source, _ = post(api, 0)
    complete(ctx, source)
    path, body = f"/v1/videos/{source}/remix", {"prompt": "a blue kite"}

    first, again = post(api, 0, path, body), post(api, 1, path, body)

    assert (first[0], "sdk-retry") == again


def test_the_key_decides_when_one_was_sent(api: ApiClient) -> None:
    """A caller who sends keys says by them what is the same."""
    video_id, _ = post(api, 0, **{"Idempotency-Key": "k-1"})

    same = post(api, 1, **{"Idempotency-Key": "k-1"})
    other = post(api, 1, **{"Idempotency-Key": "k-2"})

    assert (video_id, "true") == same
    assert video_id != other[0]


def test_a_late_first_request_is_its_retry_when_that_has_overtaken_it(ctx: Context) -> None:
    """The client gave up while the first one waited here; only one of the two makes a video."""
    retry = made(ctx, 1)

    late = made(ctx, 0, waiting=5)

    assert (retry.video.id, True) == (late.video.id, late.sdk_retry)
    assert 0b11 == row(ctx, retry.video.id).sdk_tries


def test_a_new_request_is_a_new_video_when_a_lost_one_was_retried_before(ctx: Context) -> None:
    """The first request never came; an equal one that comes later is another call."""
    retry = made(ctx, 1)
    sql(ctx, "update videos set created_at = created_at - interval '1 second'")

    other = made(ctx, 0)

    assert retry.video.id != other.video.id


def test_one_video_is_made_when_a_request_and_its_retries_race(ctx: Context) -> None:
    """Whatever the order in which they come to their turn."""
    outcomes = race(
        *[lambda number=number: made(ctx, number, waiting=3) for number in (0, 1, 2, 3)]
    )

    ids = {outcome.video.id for outcome in outcomes if isinstance(outcome, Submitted)}
    assert (1, 0b1111) == (len(ids), row(ctx, ids.pop()).sdk_tries)
