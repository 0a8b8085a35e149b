"""Texts of users that mean something to some machine: everywhere they stay texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event
from standardwebhooks import Webhook

from orchestrator import deliveries, dispatch, endpoints
from orchestrator.context import Context
from orchestrator.ids import is_video_id
from tests.answering_server import Answer, answering_server
from tests.api_client import ApiClient
from tests.core import caller, row, sql
from tests.factories import RingRecorder, complete

TEXTS = {
    "sql": "'; drop table videos; -- \\'; :id :user_id %(id)s",
    "formats": "%s %d %n {id} {0.__class__} {{7*7}} ${HOME} $(id) `id`",
    "html": "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;",
    "terminal": "\x1b[31mred\x1b]0;title\x07\x9b2J [bold red]x[/] :bomb:",
    "bidi": "\u202egnp.exe\u2066 \u200b\ufeff",
    "stream": "a\nid: 99\nevent: forged\ndata: {}\n\nevent: forged\rdata: x\r\n\r\n",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "wildcards": "100 % _under \\ score%",
    "paths": "../../etc/passwd /etc/passwd C:\\x file:///etc/passwd",
    "json": '","status":"completed","x":{"$ref":"#"} \\u0000 \\n',
    "headers": "x\r\nSet-Cookie: evil=1\r\n\r\n<html>",
    "wide": "\U0001d518\U0001d52b \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \ufdfa",
}


def create(api: ApiClient, text: str, **fields: Any) -> dict[str, Any]:
    """A video whose every text is this one."""
    body = {"prompt": text, "metadata": {"note": text}, **fields}
    answer = api.post("/api/videos", json=body)
    assert 202 == answer.status_code, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_comes_back_as_it_was_sent(api: ApiClient, ctx: Context, text: str) -> None:
    """In the row, the answers, the events and the facade; in no header, and as JSON that no browser
    takes for a page.
    """
    video_id = create(api, text)["id"]

    answers = {
        path: api.get(path)
        for path in (
            f"/api/videos/{video_id}",
            "/api/videos",
            f"/api/videos/{video_id}/events",
            f"/v1/videos/{video_id}",
            "/v1/videos",
        )
    }

    assert text == row(ctx, video_id).prompt
    assert text == answers[f"/api/videos/{video_id}"].get_json()["prompt"]
    assert text == answers["/api/videos"].get_json()["data"][0]["metadata"]["note"]
    created = answers[f"/api/videos/{video_id}/events"].get_json()["data"][0]
    assert text == created["event_data"]["prompt"]
    assert text == answers[f"/v1/videos/{video_id}"].get_json()["prompt"]
    for answer in answers.values():
        assert ("application/json", "nosniff") == (
            answer.mimetype,
            answer.headers["X-Content-Type-Options"],
        )
        assert not any("evil" in f"{name}{value}" for name, value in answer.headers)
    assert [(1,)] == sql(ctx, "select count(*) from videos")


def search(api: ApiClient, text: str) -> list[str]:
    """The ids of the videos whose prompt contains this."""
    found = api.get("/api/videos", query_string={"q": text})
    return [video["id"] for video in found.get_json()["data"]]


def test_search_finds_a_text_by_its_letters(api: ApiClient) -> None:
    """Whatever they mean to SQL or to LIKE: the text itself is found, and nothing else."""
    create(api, "something else entirely: 100 percent, xunder, y")
    made = {text: create(api, f"before {text} after")["id"] for text in TEXTS.values()}

    found = {text: search(api, text) for text in TEXTS.values()}

    assert {text: [video_id] for text, video_id in made.items()} == found


def test_search_knows_no_wildcards(api: ApiClient) -> None:
    """They find themselves only."""
    create(api, "a kite, a cat")
    wildcards = ["%", "_", "\\", "%%", "a%t", "a_t", "[a-z]", ".*"]

    assert {} == {one: found for one in wildcards if (found := search(api, one))}


def test_stream_keeps_its_frames_when_texts_have_line_breaks(api: ApiClient, ctx: Context) -> None:
    """Each message is its id, its event and one line of data, in that order, as JSON."""
    text = "\n\n".join(TEXTS.values())
    video_id = create(api, text)["id"]
    complete(ctx, video_id)

    body = api.get(f"/api/videos/{video_id}/events/stream?after=0").get_data()

    lines = re.split(rb"\r\n|\r|\n", body)
    names = [line.partition(b":")[0].decode() for line in lines if line]
    assert names == ["retry", *["id", "event", "data"] * (len(names) // 3)]
    events = [line.partition(b": ")[2].decode() for line in lines if line.startswith(b"event: ")]
    data = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    assert ("created", "completed") == (events[0], events[-1])
    assert text == data[0]["event_data"]["prompt"]


def test_messages_name_ids_when_texts_are_hostile(api: ApiClient, ctx: Context) -> None:
    """What goes through the broker holds nothing that a user has written."""
    for text in TEXTS.values():
        create(api, text)
    assert isinstance(ctx.broker, RingRecorder)
    dispatch.sweep(ctx)

    arguments = [argument for ring in ctx.broker.rings for argument in ring.args]

    assert len(arguments) >= len(TEXTS)
    flat = [one for a in arguments for one in (a if isinstance(a, list | tuple) else [a])]
    assert [] == [one for one in flat if not is_video_id(str(one))]


def test_webhook_is_one_signed_document_when_texts_are_hostile(
    api: ApiClient, ctx: Context
) -> None:
    """It says which video, and none of its texts."""
    with answering_server() as receiver:
        receiver.answer("POST /hook", Answer(b""))
        endpoint = endpoints.create(ctx, caller("test_user"), f"{receiver.url}/hook")
        for text in TEXTS.values():
            complete(ctx, create(api, text)["id"])
        deliveries.deliver(ctx, endpoint.id)

    assert len(TEXTS) == len(receiver.asked)
    for asked in receiver.asked:
        Webhook(endpoint.secret).verify(asked.body, dict(asked.headers))
        assert {"id", "status", "seq", "error"} == set(asked.json["data"])


def test_filename_is_made_of_the_id_when_a_video_is_fetched(api: ApiClient, ctx: Context) -> None:
    """Nothing that a user has written stands in it."""
    for text in TEXTS.values():
        video = complete(ctx, create(api, text)["id"])

        answer = api.get(f"/api/videos/{video.id}/download")

        assert f'attachment; filename="{video.id}.mp4"' == answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    "key", ['a"b', "..%2f..", "$(id)", "%s%n", "{0}", "';drop/**/table/**/videos;--", "<b>"]
)
def test_key_is_only_compared_when_it_is_hostile(api: ApiClient, ctx: Context, key: str) -> None:
    """An Idempotency-Key of any visible letters stands for its video."""
    answers = [
        api.post("/api/videos", json={"prompt": "x"}, headers={"Idempotency-Key": key})
        for _ in range(2)
    ]

    assert 1 == len({answer.get_json()["id"] for answer in answers})
    assert "true" == answers[1].headers["Idempotent-Replayed"]
    assert [(1,)] == sql(ctx, "select count(*) from videos")


@contextmanager
def statements(ctx: Context) -> Iterator[list[str]]:
    """All SQL that is run until the block ends, as it goes to the driver: without its values."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    with ctx.database.statement() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_no_statement_holds_what_users_send(api: ApiClient, ctx: Context) -> None:
    """Values are bound, wherever they come from: bodies, queries, addresses, headers."""
    evil = "h0stile'"
    who = {"X-User-Id": evil, "X-Request-Id": evil, "User-Agent": evil, "Last-Event-ID": evil}
    admin = {"X-User-Id": "admin", "X-Request-Id": evil}
    hook = "https://h0stile.example/hook?h0stile'"
    fields = {"prompt": evil, "metadata": {evil: evil}, "quality": "h0stile", "webhook_url": hook}
    name = quote(evil, safe="")

    with statements(ctx) as seen:
        made = api.post(
            "/api/videos", json=fields, headers=who | {"Idempotency-Key": evil}
        ).get_json()
        hooked = {"url": hook, "description": evil}
        endpoint = api.post("/api/webhooks/endpoints", json=hooked, headers=who).get_json()
        complete(ctx, made["id"])
        dispatch.sweep(ctx)
        video, place = f"/api/videos/{made['id']}", f"/api/webhooks/endpoints/{endpoint['id']}"
        filters = f"endpoint_id={endpoint['id']}&video_id={made['id']}&type=video.completed"
        requests = [
            ("POST", "/api/videos/batch", {"videos": [fields]}, who),
            ("GET", f"/api/videos?q={name}&model=h0stile", None, who),
            ("GET", f"{video}/download", None, who),
            ("GET", f"{video}/events", None, who),
            ("GET", "/api/stats", None, who),
            ("GET", "/api/quota", None, who),
            ("GET", "/api/events", None, who),
            ("PATCH", place, hooked, who),
            ("POST", f"{place}/ping", None, who),
            ("GET", f"/api/webhooks/deliveries?{filters}", None, who),
            ("POST", f"{video}/remix", {"prompt": evil, "webhook_url": hook}, who),
            ("PUT", f"/api/users/{name}/quota", {"videos_limit": 50}, admin),
            ("GET", f"/api/admin/audit?subject={name}&user_id={name}", None, admin),
            ("POST", "/api/admin/keys", {"user_id": evil, "name": evil}, admin),
            ("GET", f"/api/admin/keys?user_id={name}", None, admin),
            ("POST", "/api/admin/retries", {"user_id": evil, "model": "h0stile"}, admin),
            ("POST", "/api/admin/providers/default/pause", {"reason": evil}, admin),
            ("DELETE", f"/api/admin/users/{name}", None, admin),
        ]
        refused = {
            path: answer.text
            for method, path, body, headers in requests
            if (answer := api.open(path, method=method, json=body, headers=headers)).status_code
            >= 300
        }

    assert {} == refused
    assert len(seen) > 40
    assert [] == [statement for statement in seen if "h0stile" in statement]
