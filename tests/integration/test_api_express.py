"""What is answered without the views, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
import structlog
from flask import Flask, request
from structlog.testing import LogCapture

from api import create_app
from api.bridge import Bridge
from orchestrator import accounts, endings, quotas
from orchestrator.context import Context
from orchestrator.gathering import Gathering
from tests.asgi import Asked, Server
from tests.core import accept, caller, row, sql, submit
from tests.wire import Answer

BODY = {"prompt": "a red kite", "seconds": "2", "size": "320x240"}
PATH = "/api/videos"


class Site:
    """An application behind its bridge. `viewed`: the requests that have come to the views."""

    def __init__(self, ctx: Context):
        self.ctx = ctx
        # However slow the machine, a key that was just used is known.
        self.app = create_app(ctx, monotonic=lambda: 0.0)
        self.viewed: list[str] = []
        # Before all others, which may refuse the request.
        self.app.before_request_funcs[None].insert(
            0, lambda: self.viewed.append(f"{request.method} {request.path}")
        )
        self.server = Server(Bridge(self.app, threads=4, seconds=10))
        self.ann = self.key("ann")

    def key(self, user_id: str, **options: Any) -> tuple[str, str]:
        """The header with a key of this user that was used just now."""
        secret = accounts.create_key(self.ctx, user_id, **options).secret
        header = ("Authorization", f"Bearer {secret}")
        self.server.ask(Asked("GET", f"{PATH}/none", [header]))
        self.viewed.clear()
        return header

    def post(self, *headers: tuple[str, str], body: Any = BODY, **options: Any) -> Answer:
        """Ask for a video."""
        (answer,) = self.server.ask(Asked("POST", PATH, headers, body, **options))
        return answer

    def get(self, video_id: str, *headers: tuple[str, str], **options: Any) -> Answer:
        """Look at a video."""
        (answer,) = self.server.ask(Asked("GET", f"{PATH}/{video_id}", headers, **options))
        return answer


@pytest.fixture
def make_site(make_ctx: Callable[..., Context]) -> Iterator[Callable[..., Site]]:
    """Makes applications, with the settings and dependencies that a test wants."""
    sites: list[Site] = []

    def make(auth: str = "keys", **parts: Any) -> Site:
        sites.append(Site(replace(make_ctx(auth=auth), **parts)))
        return sites[-1]

    yield make

    for site in sites:
        site.server.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """An application that wants keys."""
    return make_site()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Every line that is written meanwhile."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries

    structlog.configure(processors=before)


def through_views(app: Flask, asked: Asked) -> Answer:
    """What the views answer to the same request, without a bridge."""
    answer = app.test_client().open(
        asked.path, method=asked.method, headers=list(asked.headers), json=asked.json
    )
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status_code, headers, answer.data)


def same(one: Answer, other: Answer) -> None:
    """Fails unless two answers differ in nothing but which video was made, and when."""
    changing = ("id", "created_at", "updated_at", "deadline_at")
    shown = [{**one.json, **dict.fromkeys(changing)}, {**other.json, **dict.fromkeys(changing)}]
    assert shown[0] == shown[1]
    assert list(one.json) == list(other.json)
    assert one.status == other.status
    ids = [{**a.headers, "location": a.headers.get("location", "")[:17]} for a in (one, other)]
    assert ids[0] == ids[1]


def test_create_is_answered_as_the_view_does_when_it_is_plain(site: Site) -> None:
    """The same headers and members; only the video is another one."""
    asked = Asked("POST", PATH, [site.ann, ("X-Request-Id", "mine")], BODY)
    there = through_views(site.app, asked)
    site.viewed.clear()

    (here,) = site.server.ask(asked)

    assert [] == site.viewed
    same(there, here)
    assert "queued" == row(site.ctx, here.json["id"]).status
    assert [f"{PATH}/{here.json['id']}"] == [here.headers["location"]]


def test_show_is_answered_as_the_view_does_when_the_video_is_cached(site: Site) -> None:
    """To the byte."""
    video = submit(site.ctx)
    asked = Asked("GET", f"{PATH}/{video.id}", [site.ann, ("X-Request-Id", "mine")])
    there = through_views(site.app, asked)
    site.viewed.clear()

    (here,) = site.server.ask(asked)

    assert [] == site.viewed
    assert there == here


def test_create_is_replayed_when_its_key_comes_again(site: Site) -> None:
    """One video, and the header that says so."""
    key = ("Idempotency-Key", "once")

    first, again = site.post(site.ann, key), site.post(site.ann, key)

    assert [] == site.viewed
    assert first.json["id"] == again.json["id"]
    assert "true" == again.headers["idempotent-replayed"]
    assert [(1,)] == [tuple(found) for found in sql(site.ctx, "select count(*) from videos")]


def test_creates_are_written_together_when_they_come_together(site: Site) -> None:
    """Each has a video of its own, whoever asks."""
    bob = site.key("bob")
    asked = [Asked("POST", PATH, [(site.ann, bob)[n % 2]], BODY) for n in range(40)]

    answers = site.server.ask(*asked)

    assert [] == site.viewed
    assert {202} == {answer.status for answer in answers}
    assert 40 == len({answer.json["id"] for answer in answers})
    assert ["ann", "bob"] * 20 == [answer.json["user_id"] for answer in answers]


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ([], {"seconds": "2"}, 400, "missing_field"),
        ([], {**BODY, "seconds": "77"}, 400, "invalid_value"),
        ([], {**BODY, "colour": "red"}, 400, "unknown_field"),
        ([], {**BODY, "webhook_url": "http://127.0.0.1/"}, 400, None),
        ([("Idempotency-Key", "two words")], BODY, 400, "invalid_idempotency_key"),
        ([("Content-Type", "text/plain")], BODY, 415, "unsupported_media_type"),
        ([("Prefer", "wait=1")], BODY, 202, None),
        ([("Content-Type", "application/json; charset=utf-8")], BODY, 202, None),
        ([("X-Request-Id", "a"), ("X-Request-Id", "b")], BODY, 202, None),
    ],
)
def test_create_is_left_to_the_view_when_it_is_not_plain(
    site: Site, headers: list[tuple[str, str]], body: Any, status: int, code: str | None
) -> None:
    """The view explains what is wrong, and knows what is rare."""
    answer = site.post(site.ann, *headers, body=body)

    assert ["POST /api/videos"] == site.viewed
    assert status == answer.status
    assert code in {None, answer.json.get("code")}


def test_create_is_refused_when_the_quota_is_used_up(site: Site) -> None:
    """By the view, with the numbers; a key that was tried on it stays free."""
    quotas.change(site.ctx, "ann", {"videos_limit": 0})

    answer = site.post(site.ann, ("Idempotency-Key", "poor"))

    assert ["POST /api/videos"] == site.viewed
    assert (429, "quota_exceeded") == (answer.status, answer.json["code"])
    assert [(0,)] == [tuple(n) for n in sql(site.ctx, "select count(*) from idempotency_keys")]


def test_create_is_refused_when_its_key_had_another_body(site: Site) -> None:
    """The first video stays the only one."""
    key = ("Idempotency-Key", "once")
    site.post(site.ann, key)

    answer = site.post(site.ann, key, body={**BODY, "prompt": "another kite"})

    assert (422, "idempotency_key_reused") == (answer.status, answer.json["code"])


@pytest.mark.parametrize(
    ("options", "status"), [({"scopes": ["read"]}, 403), ({"rate_limit": 1}, 429)]
)
def test_create_is_left_to_the_view_when_the_key_is_limited(
    site: Site, options: dict[str, Any], status: int
) -> None:
    """Scopes are explained there, and requests counted."""
    header = site.key("ann", **options)

    answer = site.post(header)

    assert ["POST /api/videos"] == site.viewed
    assert status == answer.status


def test_create_is_refused_when_no_key_is_known(site: Site) -> None:
    """None, or one that somebody has made up."""
    none, invented = site.post(), site.post(("Authorization", "Bearer vo_invented"))

    assert [401, 401] == [none.status, invented.status]


def test_create_is_left_to_the_view_when_no_keys_are_wanted(
    make_site: Callable[..., Site],
) -> None:
    """With AUTH=off the view looks where the request comes from."""
    site = make_site(auth="off")

    answer = site.post(("X-User-Id", "carl"))

    assert ["POST /api/videos"] == site.viewed
    assert (202, "carl") == (answer.status, answer.json["user_id"])


def test_create_is_refused_once_when_nobody_gets_to_it(make_site: Callable[..., Site]) -> None:
    """An answer within the patience; what was not begun is not begun later either."""
    begun, free = Event(), Event()
    gathering = Gathering(patience=0.05)
    site = make_site(gathering=gathering)
    gathering.put(None, lambda items: begun.set() or [free.wait(10)] * len(items), lambda: None)
    assert begun.wait(10)

    answer = site.post(site.ann)
    free.set()

    assert (503, "dependency_down") == (answer.status, answer.json["code"])
    gathering.patience = 10
    assert 7 == gathering.ask(7, list)
    assert [(0,)] == [tuple(found) for found in sql(site.ctx, "select count(*) from videos")]


def test_show_is_left_to_the_view_when_the_video_is_not_the_callers(site: Site) -> None:
    """It says the same as of a video that does not exist."""
    video = submit(site.ctx, "bob")

    answer = site.get(video.id, site.ann)

    assert [f"GET {PATH}/{video.id}"] == site.viewed
    assert 404 == answer.status


def test_show_answers_an_admin_when_the_video_is_somebody_elses(site: Site) -> None:
    """As the view does."""
    video = submit(site.ctx, "bob")
    root = site.key("root", role="admin")

    answer = site.get(video.id, root)

    assert [] == site.viewed
    assert (200, "bob") == (answer.status, answer.json["user_id"])


def test_show_is_left_to_the_view_when_the_video_is_deleted(site: Site) -> None:
    """What was in the cache counts no longer."""
    video = submit(site.ctx)
    endings.delete(site.ctx, caller(), video.id)

    answer = site.get(video.id, site.ann)

    assert 404 == answer.status


def test_show_rings_a_look_when_a_running_video_was_not_looked_at_lately(site: Site) -> None:
    """Once; then it is answered from the cache, as everything else."""
    video = submit(site.ctx)
    accept(site.ctx, video.id)

    answers = [site.get(video.id, site.ann) for _ in range(3)]

    assert [f"GET {PATH}/{video.id}"] == site.viewed
    assert ["in_progress"] * 3 == [answer.json["status"] for answer in answers]


@pytest.mark.parametrize("header", [("Prefer", "wait=1"), ("If-None-Match", 'W/"1"')])
def test_show_is_left_to_the_view_when_a_header_changes_it(
    site: Site, header: tuple[str, str]
) -> None:
    """Whoever has the video already is told so."""
    video = submit(site.ctx)

    site.get(video.id, site.ann, header)

    assert [f"GET {PATH}/{video.id}"] == site.viewed


def test_requests_are_left_to_the_views_when_they_bring_a_query(site: Site) -> None:
    """Nobody here knows what it may mean."""
    video = submit(site.ctx)

    site.get(video.id, site.ann, query="a=b")

    assert [f"GET {PATH}/{video.id}"] == site.viewed


def test_requests_have_the_lines_of_the_views_when_no_view_has_seen_them(
    site: Site, logged: list[Any]
) -> None:
    """Who reads the log cannot tell them apart either."""
    asked = Asked("POST", PATH, [site.ann, ("X-Request-Id", "mine")], BODY)

    through_views(site.app, asked)
    site.server.ask(asked)

    lines = [line for line in logged if line["event"] == "request"]
    assert 2 == len(lines)
    varying = {"ms": 0, "video_id": ""}
    assert {**lines[0], **varying} == {**lines[1], **varying}
    assert "" not in [line["video_id"] for line in lines]
