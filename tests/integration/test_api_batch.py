"""`POST /api/videos/batch`: many videos, each answered for itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from api import create_app
from orchestrator import batches
from orchestrator.batches import CHUNK
from orchestrator.context import Context
from orchestrator.db.engine import Database
from orchestrator.errors import DependencyDown
from orchestrator.records import Caller
from orchestrator.submissions import Submitted
from orchestrator.wishes import IdempotencyKey, VideoRequest
from tests.api_client import ApiClient, client
from tests.core import count, race, sql
from tests.factories import make_image

KEY = {"Idempotency-Key": "k-1"}
ADMIN = {"X-User-Id": "admin"}


def wishes(number: int, **fields: Any) -> list[dict[str, Any]]:
    """So many different videos."""
    return [{"prompt": f"kite {place}", "seconds": "2", **fields} for place in range(number)]


def send(api: ApiClient, videos: list[Any], *, status: int = 202, **headers: str) -> Any:
    """The places of the answer."""
    response = api.post("/api/videos/batch", json={"videos": videos}, headers=headers)
    assert status == response.status_code, response.text
    assert response.json is not None
    return response.json["data"] if status == 202 else response.json


def statuses(places: Any) -> list[int]:
    """What each place was answered with."""
    return [place["status"] for place in places]


def ids(places: Any) -> list[str]:
    """The videos of the places that were accepted."""
    return [place["video"]["id"] for place in places if place["status"] == 202]


def test_batch_accepts_all_when_all_are_good(api: ApiClient, ctx: Context) -> None:
    """In the order of the request, over several chunks, and each counts in the quota."""
    api.put("/api/users/test_user/quota", json={"videos_limit": 1000}, headers=ADMIN)
    number = CHUNK + 5

    places = send(api, wishes(number))

    assert [f"kite {place}" for place in range(number)] == [
        place["video"]["prompt"] for place in places
    ]
    assert number == len(set(ids(places))) == count(ctx)
    quota = api.get("/api/quota").json
    assert quota is not None
    assert number == quota["used"]


def test_batch_refuses_single_places_when_they_are_bad(api: ApiClient, ctx: Context) -> None:
    """The neighbours of a bad one are accepted, and it says what it alone would have been told."""
    good, *_ = wishes(1)
    bad = [
        {},
        {"prompt": "x", "seconds": "99"},
        {"prompt": "x", "model": "sora-9"},
        {"prompt": "x", "strange": 1},
        "a kite",
        {"prompt": "x", "input_reference": {"image_url": "https://example.com/a.png"}},
    ]

    places = send(api, [good, *bad, good])

    assert [202, *[400] * len(bad), 202] == statuses(places)
    assert ["prompt", "seconds", "model", "strange", None, "input_reference.image_url"] == [
        place["error"]["param"] for place in places[1:-1]
    ]
    assert 2 == count(ctx)


def test_batch_takes_as_many_as_the_quota_allows_when_it_is_too_large(
    api: ApiClient, ctx: Context
) -> None:
    """The first ones, in order; the others are refused as each alone would be."""
    api.put("/api/users/test_user/quota", json={"videos_limit": 3}, headers=ADMIN)

    places = send(api, wishes(5))

    assert [202, 202, 202, 429, 429] == statuses(places)
    assert {"quota_exceeded"} == {place["error"]["code"] for place in places[3:]}
    assert 3 == count(ctx)


def test_batch_keeps_images_when_places_bring_them(api: ApiClient, ctx: Context) -> None:
    """As data URLs, as in a single request."""
    url = f"data:image/png;base64,{base64.b64encode(make_image()).decode()}"

    send(api, wishes(2, input_reference={"image_url": url}))

    assert [("image/png", 2)] == [
        tuple(found)
        for found in sql(ctx, "select input_type, count(*)::int from videos group by 1")
    ]


def test_batch_replays_when_it_comes_again_under_its_key(api: ApiClient, ctx: Context) -> None:
    """The same videos in the same places, and a header that says so."""
    first = send(api, wishes(3), **KEY)

    again = api.post("/api/videos/batch", json={"videos": wishes(3)}, headers=KEY)

    assert again.json is not None
    assert ids(first) == ids(again.json["data"])
    assert "true" == again.headers["Idempotent-Replayed"]
    assert 3 == count(ctx)


def test_batch_answers_422_when_its_key_came_with_another_one(api: ApiClient, ctx: Context) -> None:
    """A key stands for one batch."""
    send(api, wishes(3), **KEY)

    problem = send(api, wishes(4), status=422, **KEY)

    assert "idempotency_key_reused" == problem["code"]
    assert 3 == count(ctx)


def test_batch_tries_refused_places_anew_when_it_comes_again(api: ApiClient, ctx: Context) -> None:
    """What was accepted stays; what the quota refused gets another chance."""
    api.put("/api/users/test_user/quota", json={"videos_limit": 1}, headers=ADMIN)
    first = send(api, wishes(2), **KEY)
    api.put("/api/users/test_user/quota", json={"videos_limit": 5}, headers=ADMIN)

    again = send(api, wishes(2), **KEY)

    assert ([202, 429], [202, 202]) == (statuses(first), statuses(again))
    assert ids(first) == ids(again)[:1]
    assert 2 == count(ctx)


def test_batch_keeps_its_places_when_those_before_were_refused(
    api: ApiClient, ctx: Context
) -> None:
    """Each is known by its place, over several chunks; whatever was pruned since is gone."""
    api.put("/api/users/test_user/quota", json={"videos_limit": 1000}, headers=ADMIN)
    videos = [{"prompt": "x", "seconds": "99"}, *wishes(CHUNK + 2)]
    first = send(api, videos, **KEY)
    sql(ctx, "delete from videos where id = :id", id=ids(first)[-1])

    again = send(api, videos, **KEY)

    assert [400, *[202] * (CHUNK + 1), 410] == statuses(again)
    assert ids(first)[:-1] == ids(again)
    assert CHUNK + 1 == count(ctx)


def test_batches_with_one_key_do_not_both_write_when_they_meet(ctx: Context) -> None:
    """Whichever comes second to a chunk is answered with what the first has made of it."""
    key = IdempotencyKey("k-1", "POST /api/videos/batch")
    requests = [VideoRequest(f"kite {place}", seconds="2") for place in range(20)]

    def create() -> list[str]:
        made = batches.create(ctx, Caller("ann"), requests, key=key, fingerprint="f")
        return [answer.video.id for answer in made if isinstance(answer, Submitted)]

    one, other = race(create, create)

    assert one == other
    assert sorted(one) == [row[0] for row in sql(ctx, "select id from videos order by id")]
    assert 20 == len(one)


def test_batch_frees_its_key_when_all_of_it_was_refused(api: ApiClient) -> None:
    """The repaired batch may use it."""
    send(api, wishes(2, seconds="99"), **KEY)

    places = send(api, wishes(2), **KEY)

    assert [202, 202] == statuses(places)


def test_single_requests_and_batches_do_not_meet_when_they_have_one_key(
    api: ApiClient, ctx: Context
) -> None:
    """The route belongs to the scope of a key."""
    api.post("/api/videos", json=wishes(1)[0], headers=KEY)

    places = send(api, wishes(1), **KEY)

    assert [202] == statuses(places)
    assert 2 == count(ctx)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "videos"),
        ({"videos": []}, "videos"),
        ({"videos": "x"}, "videos"),
        ({"videos": [{"prompt": "x"}] * 1001}, "videos"),
        ({"videos": [{"prompt": "x"}], "more": 1}, "more"),
    ],
)
def test_batch_answers_400_when_it_is_none(
    api: ApiClient, ctx: Context, body: Any, param: str
) -> None:
    """Nothing of it is accepted then."""
    response = api.post("/api/videos/batch", json=body)

    assert 400 == response.status_code
    assert response.json is not None
    assert param == response.json["error"]["param"]
    assert 0 == count(ctx)


def test_batch_says_what_was_accepted_when_the_database_goes_away_in_the_middle(
    make_ctx: Callable[..., Context],
) -> None:
    """What is committed is told, the rest is answered 503; nothing is left in doubt."""
    ctx = make_ctx()
    failing = replace(ctx, database=FailsAfter(ctx.database, 1))
    requests = [VideoRequest(f"kite {place}", seconds="2") for place in range(CHUNK + 2)]
    with ctx.database.statement() as connection:
        connection.exec_driver_sql(
            "insert into user_quotas (user_id, videos_limit, reset_at) "
            "values ('ann', 1000, now() + interval '1 day')"
        )

    answers = batches.create(failing, Caller("ann"), requests)

    kinds = [type(answer).__name__ for answer in answers]
    assert ["Submitted"] * CHUNK + ["DependencyDown"] * 2 == kinds
    assert CHUNK == count(ctx)


def test_batch_fails_as_a_whole_when_the_database_is_away(make_ctx: Callable[..., Context]) -> None:
    """503, as every request then; nothing was accepted."""
    ctx = make_ctx()
    away = client(create_app(replace(ctx, database=FailsAfter(ctx.database, 0))))

    send(away, wishes(2), status=503)

    assert 0 == count(ctx)


def test_batch_starts_at_once_when_nobody_waits(app: Flask, ctx: Context) -> None:
    """Each accepted one is rung for, like a single one."""
    made = send(client(app), wishes(3))

    rung = [video_id for ring in ctx.broker.rings for video_id in ring.args]  # type: ignore[attr-defined]
    assert ids(made) == rung


def test_batch_is_cached_by_whoever_looks_first(api: ApiClient, ctx: Context) -> None:
    """To put all of it there would cost more than those looks."""
    (made,) = ids(send(api, wishes(1)))

    before = ctx.cache.get_video(made)
    shown = api.get(f"/api/videos/{made}").json

    assert before is None
    assert shown is not None
    assert made == shown["id"]
    assert shown == ctx.cache.get_video(made)


class FailsAfter:
    """A database that goes away after so many transactions."""

    def __init__(self, database: Database, transactions: int):
        self._database = database
        self._left = transactions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def transaction(self) -> Any:
        """One of the last."""
        if self._left == 0:
            raise DependencyDown
        self._left -= 1
        return self._database.transaction()
