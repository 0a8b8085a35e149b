"""Webhooks of providers: verified, counted once, and only a reason to look sooner."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from api import create_app
from orchestrator import housekeeping, signatures
from orchestrator.catalog import Catalog, single_provider_catalog
from orchestrator.context import Context
from orchestrator.db import polling, receipts
from orchestrator.errors import ProviderAmbiguous
from orchestrator.providers import CreateRequest, ProviderVideo
from orchestrator.steps import poll
from tests.api_client import ApiClient, client
from tests.rig import Rig

SECRET = signatures.new_secret()


@pytest.fixture
def catalog() -> Catalog:
    """The sandbox's profile with a secret, as OPENAI_WEBHOOK_SECRET gives it."""
    return single_provider_catalog(
        base_url="http://127.0.0.1:1/v1", profile="sandbox", webhook_secret=SECRET
    )


@pytest.fixture
def rig(make_rig: Callable[..., Rig], catalog: Catalog) -> Rig:
    """A rig over that catalog."""
    return make_rig(catalog=catalog)


@pytest.fixture
def api(rig: Rig) -> ApiClient:
    """A client of the application over the rig."""
    return client(create_app(rig.ctx))


def send(
    api: ApiClient,
    upstream_id: Any,
    *,
    message_id: str = "evt_1",
    secret: str = SECRET,
    at: str = "openai",
    age: float = 0,
    body: bytes | None = None,
) -> TestResponse:
    """A message of a provider about its video."""
    data = {"id": message_id, "type": "video.completed", "data": {"id": upstream_id}}
    payload = json.dumps(data).encode() if body is None else body
    headers = signatures.headers_for(message_id, payload, [secret], now=time.time() - age)
    return api.post(f"/webhooks/{at}", data=payload, headers=headers)


def later(rig: Rig) -> None:
    """Let nothing be due for an hour."""
    rig.sql("update videos set due_at = now() + interval '1 hour' where due_at is not null")
    rig.sql("update attempts set due_at = now() + interval '1 hour' where due_at is not null")


def due(rig: Rig, table: str) -> int:
    """How many rows are due."""
    return int(rig.sql(f"select count(*) from {table} where due_at <= now()"))  # noqa: S608


@pytest.mark.parametrize("at", ["openai", "default"])
def test_video_is_looked_at_when_its_provider_tells(rig: Rig, api: ApiClient, at: str) -> None:
    """At once; what it has become is what the look says."""
    video = rig.submitted()
    later(rig)

    response = send(api, rig.upstream_id(video), at=at)

    assert (200, {"received": True}) == (response.status_code, response.json)
    assert 1 == due(rig, "videos")
    assert ("poll", [video.id]) == rig.rings[-1]
    assert "in_progress" == rig.video(video).status


def test_video_is_looked_at_although_somebody_holds_it(rig: Rig, api: ApiClient) -> None:
    """Whoever follows the account sees it some seconds later only, and then has no say any more."""
    video = rig.submitted()
    rig.due(video)
    with rig.ctx.database.transaction() as connection:
        polling.claim(connection, [video.id], "poll", token="follower", lease=60)
    rig.upstream.becomes(rig.upstream_id(video), "completed")

    send(api, rig.upstream_id(video))
    poll.poll(rig.ctx, [video.id])
    with rig.ctx.database.transaction() as connection:
        polling.snooze(connection, [video.id], token="follower", due_in=600)

    after = rig.video(video)
    assert ("store", None) == (after.step, after.lease_token)
    assert 1 == due(rig, "videos")


def test_message_is_taken_when_another_library_has_signed_it(rig: Rig, api: ApiClient) -> None:
    """Only the provider's own words are signed."""
    video = rig.submitted()
    later(rig)
    now = datetime.now(UTC)
    payload = json.dumps({"type": "video.failed", "data": {"id": rig.upstream_id(video)}})

    response = api.post(
        "/webhooks/openai",
        data=payload,
        headers={
            "Webhook-Id": "wh_1",
            "Webhook-Timestamp": str(int(now.timestamp())),
            "Webhook-Signature": Webhook(SECRET).sign("wh_1", now, payload),
        },
    )

    assert (200, 1) == (response.status_code, due(rig, "videos"))


def test_message_counts_once_when_it_comes_twice(rig: Rig, api: ApiClient) -> None:
    """The second one is taken and changes nothing."""
    video = rig.submitted()
    upstream_id = rig.upstream_id(video)
    send(api, upstream_id)
    later(rig)
    rung = len(rig.rings)

    again = send(api, upstream_id)

    assert (200, 0, rung) == (again.status_code, due(rig, "videos"), len(rig.rings))
    assert 200 == send(api, upstream_id, message_id="evt_2").status_code
    assert 1 == due(rig, "videos")


def test_unknown_outcomes_are_looked_for_when_nobody_knows_the_video(
    rig: Rig, api: ApiClient
) -> None:
    """It may be the one whose acceptance we have not heard of."""
    rig.upstream.script("create", ProviderAmbiguous("Timeout."))
    video = rig.submitted()
    later(rig)

    response = send(api, "video_of_nobody")

    assert (200, ["unknown"]) == (response.status_code, rig.states(video))
    assert 1 == due(rig, "attempts")
    assert ("reconcile", "default") == rig.rings[-1]


@pytest.mark.parametrize("cut", [False, True])
def test_message_may_overtake_the_answer_to_the_create(rig: Rig, api: ApiClient, cut: bool) -> None:
    """It names a video that no attempt has yet: taken, and nothing is lost or made twice, whether
    the answer still comes or is cut.
    """
    taken: list[int] = []

    def answer(request: CreateRequest) -> ProviderVideo:
        found = rig.upstream.accept(request)
        taken.append(send(api, found.id).status_code)
        if cut:
            raise ProviderAmbiguous("The answer was cut.")
        return found

    rig.upstream.script("create", answer)
    video = rig.submitted()
    before = rig.states(video)

    rig.clean_look()

    assert ([200], ["unknown" if cut else "accepted"]) == (taken, before)
    assert ("in_progress", "up_1") == (rig.video(video).status, rig.upstream_id(video))
    assert 1 == rig.upstream.count("create")


def test_watched_attempt_is_looked_at_when_its_video_has_moved_on(rig: Rig, api: ApiClient) -> None:
    """So that its cost is known sooner."""
    video = rig.submitted()
    upstream_id = rig.upstream_id(video)
    rig.ctx.cache.clear_videos()
    api.post(f"/api/videos/{video.id}/cancel", headers={"X-User-Id": "ann"})
    later(rig)

    send(api, upstream_id)

    assert 1 == due(rig, "attempts")
    assert ("watch", "default") == rig.rings[-1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": signatures.new_secret()},
        {"age": 301},
        {"age": -301},
        {"message_id": ""},
    ],
)
def test_message_is_refused_when_it_is_not_signed_now(
    rig: Rig, api: ApiClient, wrong: dict[str, Any]
) -> None:
    """Nothing is noted and nothing becomes due."""
    video = rig.submitted()
    later(rig)

    response = send(api, rig.upstream_id(video), **wrong)

    assert (400, "bad_signature") == (response.status_code, (response.json or {})["code"])
    assert 0 == due(rig, "videos")
    assert 0 == rig.sql("select count(*) from webhook_receipts")


def test_message_is_refused_when_it_brings_no_signature(api: ApiClient) -> None:
    """As anybody could send one."""
    assert 400 == api.post("/webhooks/openai", json={"data": {"id": "x"}}).status_code


@pytest.mark.parametrize("at", ["nobody", "DEFAULT", "openai%2F"])
def test_address_is_unknown_when_there_is_no_such_provider(api: ApiClient, at: str) -> None:
    """Whatever was signed."""
    assert 404 == send(api, "x", at=at).status_code


def test_address_is_unknown_when_the_provider_has_no_secret(
    make_ctx: Callable[..., Context],
) -> None:
    """Without one nothing could be believed."""
    api = client(create_app(make_ctx()))

    assert 404 == send(api, "x").status_code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"data": 5}',
        b'{"data": {"id": 5}}',
        b'{"data": {"id": ""}}',
        b'{"data": {"id": "a\\u0000b"}}',
        b'{"data": {"id": "%s"}}' % (b"x" * 501),
    ],
)
def test_message_is_taken_when_it_says_nothing_that_we_understand(
    rig: Rig, api: ApiClient, body: bytes
) -> None:
    """It was signed, so sending it again would help nobody."""
    rung = len(rig.rings)

    assert 200 == send(api, "", body=body).status_code
    assert rung == len(rig.rings)


def test_old_receipts_are_forgotten(rig: Rig, api: ApiClient) -> None:
    """After seven days: no sender repeats itself for longer."""
    send(api, "one", message_id="evt_1")
    rig.sql("update webhook_receipts set received_at = now() - interval '8 days'")
    send(api, "two", message_id="evt_2")

    assert 1 == housekeeping.tidy(rig.ctx)["receipts"]
    assert 1 == rig.sql("select count(*) from webhook_receipts")


def test_receipt_is_kept_apart_when_two_providers_use_the_same_ids(rig: Rig) -> None:
    """An id counts only for its sender."""
    with rig.ctx.database.transaction() as connection:
        taken = [
            receipts.take(connection, provider, "evt_1") for provider in ("one", "other", "one")
        ]

    assert [True, True, False] == taken
