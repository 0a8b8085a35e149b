"""`/api/webhooks` over HTTP: endpoints, secrets, pings, deliveries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api import create_app
from orchestrator import deliveries, delivery_log, endpoints
from orchestrator.context import Context
from orchestrator.lifecycle import WEBHOOK_TYPES
from orchestrator.records import Caller
from tests.answering_server import Answer, answering_server
from tests.api_client import ApiClient, client
from tests.core import submit
from tests.factories import complete, fail

URL = "http://127.0.0.1:9/hook"
ENDPOINTS = "/api/webhooks/endpoints"
BOB = {"X-User-Id": "bob"}


def make(api: ApiClient, url: str = URL, **fields: Any) -> dict[str, Any]:
    """A new endpoint of test_user."""
    response = api.post(ENDPOINTS, json={"url": url, **fields})
    assert 201 == response.status_code, response.text
    made: dict[str, Any] = response.get_json()
    return made


def test_endpoint_shows_its_secret_when_it_is_made(api: ApiClient) -> None:
    """And never again, but for a new one when it is rotated."""
    made = make(api, description="mine")

    shown = api.get(f"{ENDPOINTS}/{made['id']}").get_json()
    assert made["secret"].startswith("whsec_")
    assert {**shown, "secret": made["secret"]} == made
    assert [shown] == api.get(ENDPOINTS).get_json()["data"]
    assert ["video.completed", "video.failed", "video.cancelled", "video.deleted"] == shown[
        "events"
    ]


def test_endpoint_takes_every_type_when_they_are_named(api: ApiClient) -> None:
    """Once each."""
    made = make(api, events=[*WEBHOOK_TYPES])

    assert [*WEBHOOK_TYPES] == made["events"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"url": "https://u:p@example.com/"}, "url"),
        ({"url": "https://example.com/\0"}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["video.exploded"]}, "events"),
        ({"url": URL, "secret": "mine"}, "secret"),
        ({"url": URL, "description": "x" * 201}, "description"),
    ],
)
def test_endpoint_is_refused_when_a_field_cannot_be(
    api: ApiClient, body: dict[str, Any], param: str
) -> None:
    """The field is named."""
    response = api.post(ENDPOINTS, json=body)

    assert (400, param) == (response.status_code, response.get_json()["error"]["param"])


def test_endpoint_changes_when_its_owner_wants(api: ApiClient) -> None:
    """What is not named stays."""
    made = make(api, description="mine")
    address = f"{ENDPOINTS}/{made['id']}"

    changed = api.patch(address, json={"events": ["video.failed"], "disabled": True}).get_json()
    enabled = api.patch(address, json={"disabled": False, "description": None}).get_json()

    assert (["video.failed"], "mine", "by its owner", URL) == (
        changed["events"],
        changed["description"],
        changed["disabled_reason"],
        changed["url"],
    )
    assert (None, None, None) == (
        enabled["disabled_at"],
        enabled["disabled_reason"],
        enabled["description"],
    )


@pytest.mark.parametrize(
    "body", [{}, {"url": None}, {"disabled": None}, {"url": "https://[fd00::1]"}]
)
def test_endpoint_stays_when_a_change_cannot_be(api: ApiClient, body: dict[str, Any]) -> None:
    """Nothing of it is made."""
    made = make(api)

    assert 400 == api.patch(f"{ENDPOINTS}/{made['id']}", json=body).status_code
    assert URL == api.get(f"{ENDPOINTS}/{made['id']}").get_json()["url"]


def test_endpoint_is_gone_when_it_was_removed(api: ApiClient) -> None:
    """With its log."""
    made = make(api)
    api.post(f"{ENDPOINTS}/{made['id']}/ping")

    assert 200 == api.delete(f"{ENDPOINTS}/{made['id']}").status_code
    assert 404 == api.get(f"{ENDPOINTS}/{made['id']}").status_code
    assert [] == api.get("/api/webhooks/deliveries").get_json()["data"]


def test_endpoint_is_nobodys_when_another_user_asks(api: ApiClient) -> None:
    """Every door to it says 404, and its deliveries are not listed."""
    made = make(api)
    delivery = api.post(f"{ENDPOINTS}/{made['id']}/ping").get_json()
    address = f"{ENDPOINTS}/{made['id']}"

    answers = [
        api.get(address, headers=BOB),
        api.patch(address, json={"disabled": True}, headers=BOB),
        api.delete(address, headers=BOB),
        api.post(f"{address}/rotate", json={}, headers=BOB),
        api.post(f"{address}/ping", headers=BOB),
        api.post(f"{address}/replay", json={"since": "2026-01-01T00:00:00Z"}, headers=BOB),
        api.get(f"/api/webhooks/deliveries/{delivery['id']}", headers=BOB),
        api.post(f"/api/webhooks/deliveries/{delivery['id']}/resend", headers=BOB),
    ]

    assert {404} == {answer.status_code for answer in answers}
    assert [] == api.get("/api/webhooks/deliveries", headers=BOB).get_json()["data"]
    assert [] == api.get(ENDPOINTS, headers=BOB).get_json()["data"]


def test_secret_changes_when_it_is_rotated(api: ApiClient) -> None:
    """The old one stays valid for as long as was asked for."""
    made = make(api)

    rotated = api.post(f"{ENDPOINTS}/{made['id']}/rotate", json={}).get_json()

    assert made["secret"] != rotated["secret"]
    assert rotated["previous_secret_until"] > rotated["updated_at"]


def test_secret_of_single_videos_stays_until_it_is_rotated(api: ApiClient) -> None:
    """Each user has one."""
    first, again = (api.get("/api/webhooks/secret").get_json() for _ in range(2))
    foreign = api.get("/api/webhooks/secret", headers=BOB).get_json()
    rotated = api.post("/api/webhooks/secret/rotate", json={"overlap_hours": 0}).get_json()

    assert first == again
    assert 3 == len({first["secret"], foreign["secret"], rotated["secret"]})
    assert rotated["secret"] == api.get("/api/webhooks/secret").get_json()["secret"]
    assert [] == api.get(ENDPOINTS).get_json()["data"]


def test_anonymous_people_have_no_webhooks(make_ctx: Callable[..., Context]) -> None:
    """They share one name: one of them would be told of all."""
    api = client(create_app(make_ctx(auth="keys", anonymous=True)))

    assert 403 == api.get("/api/webhooks/secret").status_code
    assert 403 == api.post(ENDPOINTS, json={"url": "https://example.com/"}).status_code


def test_log_shows_what_was_tried_when_it_is_asked(api: ApiClient, ctx: Context) -> None:
    """In pages, newest first, by endpoint, video, state and type."""
    with answering_server() as receiver:
        receiver.answer("POST /hook", Answer(b"no", 500), Answer(b"yes"))
        made = make(api, f"{receiver.url}/hook")
        video = api.post("/api/videos", json={"prompt": "a kite"}).get_json()
        complete(ctx, video["id"])
        deliveries.deliver(ctx, made["id"])
        ping = api.post(f"{ENDPOINTS}/{made['id']}/ping")
        deliveries.deliver(ctx, made["id"])

    log = "/api/webhooks/deliveries"
    first = api.get(f"{log}?limit=1")
    second = api.get(f"{log}?limit=1&before={first.get_json()['next_cursor']}")
    (pinged,), (told,) = first.get_json()["data"], second.get_json()["data"]
    assert (202, "endpoint.ping", "delivered", "yes") == (
        ping.status_code,
        pinged["type"],
        pinged["state"],
        pinged["response"],
    )
    assert ("video.completed", "pending", 500, "no", "HTTP 500", 1, video["id"]) == (
        told["type"],
        told["state"],
        told["status_code"],
        told["response"],
        told["error"],
        told["attempts"],
        told["video_id"],
    )
    assert None is second.get_json()["next_cursor"]
    for query in (f"video_id={video['id']}", "state=pending", "type=video.completed"):
        assert [told] == api.get(f"{log}?{query}").get_json()["data"]
    assert 2 == len(api.get(f"{log}?endpoint_id={made['id']}").get_json()["data"])
    assert told == api.get(f"{log}/{told['id']}").get_json()
    shown = api.get(f"{ENDPOINTS}/{made['id']}").get_json()
    assert shown["failing_since"] is None


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 19, "9" * 40, "1.5", "²"])
def test_delivery_is_unknown_when_its_number_can_be_none(api: ApiClient, number: str) -> None:
    """Without a look into the database."""
    assert 404 == api.get(f"/api/webhooks/deliveries/{number}").status_code


def test_replay_is_refused_when_its_time_is_empty(api: ApiClient) -> None:
    """Or of the wrong form."""
    made = make(api)
    day = "2026-01-01T00:00:00Z"

    answers = [
        api.post(f"{ENDPOINTS}/{made['id']}/replay", json=body).status_code
        for body in ({"since": day, "until": day}, {}, {"since": "yesterday"}, {"since": day})
    ]

    assert [400, 400, 400, 202] == answers


def test_video_takes_an_address_of_its_own(api: ApiClient, ctx: Context) -> None:
    """And shows it."""
    response = api.post("/api/videos", json={"prompt": "a kite", "webhook_url": URL})
    refused = api.post("/api/videos", json={"prompt": "a kite", "webhook_url": "http://10.0.0.1"})
    complete(ctx, response.get_json()["id"])

    assert (202, URL) == (response.status_code, response.get_json()["webhook_url"])
    assert (400, "webhook_url") == (refused.status_code, refused.get_json()["error"]["param"])
    (delivery,) = api.get("/api/webhooks/deliveries").get_json()["data"]
    assert (URL, None) == (delivery["url"], delivery["endpoint_id"])


def test_log_is_the_owners_when_an_admin_pings(api: ApiClient, ctx: Context) -> None:
    """Admins may help; what is sent belongs to the user."""
    made = make(api)

    delivery_log.ping(ctx, Caller("admin", "admin"), made["id"])

    assert 1 == len(api.get("/api/webhooks/deliveries").get_json()["data"])
    assert endpoints.load(ctx, Caller("admin", "admin"), made["id"]).url == URL


def test_remix_takes_an_address_of_its_own(api: ApiClient, ctx: Context) -> None:
    """It is told how the remix ends; the one of its source is not passed on."""
    own = "https://hooks.example.com/remix"
    source = complete(ctx, submit(ctx, "test_user", webhook_url="https://hooks.example.com/").id)

    told = api.post(f"/api/videos/{source.id}/remix", json={"prompt": "x", "webhook_url": own})
    untold = api.post(f"/api/videos/{source.id}/remix", json={"prompt": "x"})
    refused = api.post(
        f"/api/videos/{source.id}/remix",
        json={"prompt": "x", "webhook_url": "https://user@hooks.example.com/"},
    )

    assert (own, None) == (told.get_json()["webhook_url"], untold.get_json()["webhook_url"])
    assert (400, "webhook_url") == (refused.status_code, refused.get_json()["error"]["param"])


def test_retry_keeps_the_address_when_its_source_had_one(api: ApiClient, ctx: Context) -> None:
    """Whoever was to be told still wants to know."""
    own = "https://hooks.example.com/one"
    source = fail(ctx, submit(ctx, "test_user", webhook_url=own).id)

    retried = api.post(f"/api/videos/{source.id}/retry")

    assert own == retried.get_json()["webhook_url"]
