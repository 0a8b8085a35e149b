"""The adapter against scripted servers: what it sends, and what it makes of every answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest

from orchestrator.catalog import PROFILES, Provider
from orchestrator.errors import (
    ContentInvalid,
    ContentNotReady,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderRejected,
    ProviderTransient,
    ProviderUnreachable,
    Unsupported,
)
from orchestrator.providers import (
    CreateRequest,
    InputReference,
    VideoProvider,
    open_provider,
)
from tests.contract.scripted_server import Answer, ScriptedServer, scripted_server

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HTTP_NOW = "Sun, 22 Nov 2026 12:00:00 GMT"
JOB = {
    "id": "video_abc",
    "object": "video",
    "model": "sora-2",
    "status": "queued",
    "progress": 0,
    "created_at": 1_795_348_800,
    "seconds": "4",
    "size": "720x1280",
    "prompt": "a cat",
}
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 4


def request(**changes: Any) -> CreateRequest:
    wish = CreateRequest("video_1-1", "sora-2", "a cat", "4", "720x1280")
    return replace(wish, **changes)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@contextmanager
def client(base_url: str, profile: str = "openai", **changes: Any) -> Iterator[VideoProvider]:
    settings = {"read_timeout": 5.0, "create_timeout": 5.0, "connect_timeout": 2.0, **changes}
    provider = Provider("main", PROFILES[profile], base_url, api_key="sk-secret", **settings)
    opened = open_provider(provider, clock=lambda: NOW, sleep=lambda seconds: None)
    try:
        yield opened
    finally:
        opened.close()


def form(content_type: str, body: bytes) -> dict[str, Message]:
    """The parts of a multipart body, by name."""
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts: list[Any] = message.get_payload()  # type: ignore[assignment]
    return {part.get_param("name", header="content-disposition"): part for part in parts}


def values(parts: dict[str, Message]) -> dict[str, bytes]:
    return {name: part.get_payload(decode=True) for name, part in parts.items()}  # type: ignore[misc]


# ── what is sent


def test_create_sends_multipart_with_every_field_and_our_key(server: ScriptedServer) -> None:
    """A create names model, seconds and size, and carries the attempt's id."""
    server.answer(Answer(body=JOB))

    with client(server.base_url) as provider:
        video = provider.create(request(prompt="a cat\nand 'ünïcode' ☂"))

    (said,) = server.said
    sent = values(form(said.headers["content-type"], said.body))
    assert "video_abc" == video.id
    assert "queued" == video.status
    assert ("POST", "/v1/videos") == (said.method, said.path)
    assert "video_1-1" == said.headers["idempotency-key"]
    assert "Bearer sk-secret" == said.headers["authorization"]
    assert {
        "prompt": "a cat\nand 'ünïcode' ☂".encode(),
        "model": b"sora-2",
        "seconds": b"4",
        "size": b"720x1280",
    } == sent


def test_create_sends_json_when_the_profile_says_so(server: ScriptedServer) -> None:
    """A server that refuses multipart gets the same fields as JSON."""
    server.answer(Answer(body=JOB))

    with client(server.base_url, "bifrost") as provider:
        provider.create(request())

    (said,) = server.said
    assert "application/json" == said.headers["content-type"]
    expected = {"prompt": "a cat", "model": "sora-2", "seconds": "4", "size": "720x1280"}
    assert expected == said.json


def test_create_uploads_the_image_as_a_file(server: ScriptedServer) -> None:
    """A reference image is a part with its own name and type."""
    server.answer(Answer(body=JOB))
    image = InputReference("cat.png", "image/png", b"\x89PNG data")

    with client(server.base_url, "sglang") as provider:
        provider.create(request(input_reference=image))

    (said,) = server.said
    part = form(said.headers["content-type"], said.body)["input_reference"]
    assert "cat.png" == part.get_filename()
    assert "image/png" == part.get_content_type()
    assert b"\x89PNG data" == part.get_payload(decode=True)


def test_create_inlines_the_image_when_the_profile_takes_data_urls(server: ScriptedServer) -> None:
    """A server that speaks only JSON gets the image inside it."""
    server.answer(Answer(body=JOB))
    image = InputReference("cat.png", "image/png", b"abc")

    with client(server.base_url, "bifrost") as provider:
        provider.create(request(input_reference=image))

    assert "data:image/png;base64,YWJj" == server.said[0].json["input_reference"]


def test_create_uses_the_providers_own_model_name(server: ScriptedServer) -> None:
    """A deployment's name goes out instead of ours."""
    server.answer(Answer(body=JOB))

    with client(server.base_url, "bifrost", models={"sora-2": "my-deployment"}) as provider:
        provider.create(request())

    assert "my-deployment" == server.said[0].json["model"]


def test_quality_goes_only_to_servers_that_know_it(server: ScriptedServer) -> None:
    """An unknown field would be refused by strict servers."""
    server.answer(Answer(body=JOB))

    with client(server.base_url) as strict, client(server.base_url, "sandbox") as knowing:
        strict.create(request(quality="high"))
        knowing.create(request(quality="high"))

    told = ["quality" in form(said.headers["content-type"], said.body) for said in server.said]
    assert [False, True] == told


def test_remix_posts_the_prompt_to_the_source(server: ScriptedServer) -> None:
    """A remix names its source in the path, encoded, and says the prompt only."""
    server.answer(Answer(body=JOB))

    with client(server.base_url) as provider:
        provider.remix("a/b:c", request(prompt="a dog"))

    (said,) = server.said
    assert "/v1/videos/a%2Fb%3Ac/remix" == said.path
    assert {"prompt": "a dog"} == said.json
    assert "video_1-1" == said.headers["idempotency-key"]


def test_remix_becomes_an_edit_when_the_profile_says_so(server: ScriptedServer) -> None:
    """Where remix is gone, an edit of the source takes its place."""
    server.answer(Answer(body=JOB))
    profile = replace(PROFILES["openai"], remix="edits")

    opened = open_provider(Provider("main", profile, server.base_url))
    opened.remix("video_src", request(prompt="a dog"))
    opened.close()

    (said,) = server.said
    assert "/v1/videos/edits" == said.path
    assert {"prompt": "a dog", "video": {"id": "video_src"}} == said.json


def test_edit_names_its_source_in_json(server: ScriptedServer) -> None:
    """The SDK's own method cannot send that."""
    server.answer(Answer(body=JOB))

    with client(server.base_url) as provider:
        provider.edit("video_src", request(prompt="in snow"))

    (said,) = server.said
    assert "/v1/videos/edits" == said.path
    assert {"prompt": "in snow", "video": {"id": "video_src"}} == said.json
    assert "video_1-1" == said.headers["idempotency-key"]


def test_extension_asks_for_what_it_adds_in_json(server: ScriptedServer) -> None:
    """What comes back is the whole length."""
    server.answer(Answer(body={**JOB, "seconds": "12"}))

    with client(server.base_url) as provider:
        made = provider.extend("video_src", request(prompt="it lands", seconds="8"))

    (said,) = server.said
    assert "/v1/videos/extensions" == said.path
    assert {"prompt": "it lands", "seconds": "8", "video": {"id": "video_src"}} == said.json
    assert "12" == made.seconds


def test_edits_and_extensions_are_unsupported_without_a_call(server: ScriptedServer) -> None:
    """A profile without them never bothers its server."""
    with client(server.base_url, "azure") as provider:
        for call in (provider.edit, provider.extend):
            with pytest.raises(Unsupported):
                call("video_src", request())

    assert [] == server.said


def test_remix_is_unsupported_without_a_call(server: ScriptedServer) -> None:
    """A profile without remix never bothers its server."""
    with client(server.base_url, "sglang") as provider, pytest.raises(Unsupported):
        provider.remix("video_src", request())

    assert [] == server.said


def test_custom_headers_go_out_and_the_environment_does_not(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One provider's organisation must not be told to another."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-other")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-other")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answer(Answer(body=JOB))

    with client(server.base_url, headers={"X-Team": "films"}) as provider:
        provider.retrieve("video_abc")

    headers = server.said[0].headers
    assert "films" == headers["x-team"]
    assert {"openai-organization", "openai-project"}.isdisjoint(headers)


# ── outcomes of a create

REFUSALS = [
    (Answer(400, {"error": {"message": "bad size"}}), ProviderRejected, "provider_rejected"),
    (Answer(400, {"detail": "no"}), ProviderRejected, "provider_rejected"),
    (Answer(413, "too big"), ProviderRejected, "provider_rejected"),
    (Answer(422, {"detail": [{"msg": "x"}]}), ProviderRejected, "provider_rejected"),
    (
        Answer(400, {"error": {"code": "moderation_blocked", "message": "Blocked."}}),
        ProviderRejected,
        "moderation_blocked",
    ),
    (Answer(401, {"error": {"message": "Wrong key"}}), ProviderMisconfigured, None),
    (Answer(403, {"error": {"message": "No"}}), ProviderMisconfigured, None),
    (Answer(402, {"error": {"message": "Pay"}}), ProviderMisconfigured, None),
    (Answer(429, {"error": {"code": "insufficient_quota"}}), ProviderMisconfigured, None),
    (Answer(404, {"error": {"code": "model_not_found"}}), ProviderMisconfigured, None),
    (Answer(400, {"error": {"code": "DeploymentNotFound"}}), ProviderMisconfigured, None),
    (Answer(301, headers={"Location": "/v2/videos"}), ProviderMisconfigured, None),
    (Answer(429, {"error": {"message": "Too many running tasks"}}), ProviderBusy, None),
    (Answer(503, {"error": {"message": "overloaded"}}), ProviderBusy, None),
    (Answer(503, "<html>", headers={"Retry-After": "3"}), ProviderBusy, None),
    (Answer(503, "<html>Application timeout</html>"), ProviderAmbiguous, None),
    (Answer(500, {"error": {"message": "oops"}}), ProviderAmbiguous, None),
    (Answer(502, "bad gateway"), ProviderAmbiguous, None),
    (Answer(504, "timeout"), ProviderAmbiguous, None),
    (Answer(408, ""), ProviderAmbiguous, None),
    (Answer(303, headers={"Location": "/v1/videos/x"}), ProviderAmbiguous, None),
    (Answer(200, "<html>Log in</html>"), ProviderAmbiguous, None),
    (Answer(200, '"done"'), ProviderAmbiguous, None),
    (Answer(200, {"status": "queued"}), ProviderAmbiguous, None),
    (Answer(200, {"id": None, "status": "queued"}), ProviderAmbiguous, None),
    (Answer(200, {"id": "x" * 501, "status": "queued"}), ProviderAmbiguous, None),
    (Answer(200, {"error": {"message": "?"}}), ProviderAmbiguous, None),
    (Answer(200, JOB, cut=10), ProviderAmbiguous, None),
    (Answer(200, JOB, cut=0), ProviderAmbiguous, None),
    (Answer(200, b"x" * (17 * 2**20)), ProviderAmbiguous, None),
]


@pytest.mark.parametrize(("answer", "kind", "code"), REFUSALS)
def test_create_raises_one_error_and_posts_once_when_refused(
    server: ScriptedServer, answer: Answer, kind: type[ProviderError], code: str | None
) -> None:
    """Each answer has one meaning, and none of them is met with a second POST."""
    server.answer(answer)

    with client(server.base_url) as provider, pytest.raises(ProviderError) as caught:
        provider.create(request())

    assert kind is type(caught.value)
    assert code is None or code == caught.value.code
    assert 1 == len(server.said)


def test_create_is_ambiguous_when_the_answer_never_comes(server: ScriptedServer) -> None:
    """A read timeout proves nothing, and is not repeated."""
    server.answer(Answer(hang=True))

    with (
        client(server.base_url, create_timeout=0.2) as provider,
        pytest.raises(ProviderAmbiguous),
    ):
        provider.create(request())

    assert 1 == len(server.said)


def test_create_is_unreachable_when_nobody_listens() -> None:
    """A refused connection is a clear no: nothing was sent."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]

        with client(f"http://127.0.0.1:{port}/v1") as provider, pytest.raises(ProviderUnreachable):
            provider.create(request())


def test_create_is_unreachable_when_the_name_does_not_resolve() -> None:
    """DNS failures are a clear no as well."""
    with client("http://nobody.invalid/v1") as provider, pytest.raises(ProviderUnreachable):
        provider.create(request())


def test_create_is_unreachable_when_tls_fails(server: ScriptedServer) -> None:
    """A server that speaks no TLS got no request."""
    url = server.base_url.replace("http:", "https:")

    with client(url) as provider, pytest.raises(ProviderUnreachable):
        provider.create(request())

    assert [] == server.said


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("9999999", 86_400.0),
        ("soon", None),
        ("nan", None),
    ],
)
def test_busy_carries_the_wait_when_the_server_says_it(
    server: ScriptedServer, header: str, seconds: float | None
) -> None:
    """Retry-After is read as seconds or as a date, within a day."""
    server.answer(Answer(429, {"error": {"message": "slow"}}, headers={"Retry-After": header}))

    with client(server.base_url) as provider, pytest.raises(ProviderBusy) as caught:
        provider.create(request())

    assert seconds == caught.value.retry_after


def test_create_accepts_a_job_that_failed_at_once(server: ScriptedServer) -> None:
    """A job under an HTTP error was accepted, and has ended."""
    failed = {**JOB, "status": "failed", "error": {"code": 500, "message": "out of memory"}}
    server.answer(Answer(500, failed))

    with client(server.base_url, "vllm-omni") as provider:
        video = provider.create(request())

    assert ("failed", "generation_failed") == (video.status, video.error_code)


def test_create_accepts_a_202(server: ScriptedServer) -> None:
    """Any 2xx with an id and a status is an acceptance."""
    server.answer(Answer(202, {"id": 17, "status": "pending"}))

    with client(server.base_url, "trtllm") as provider:
        video = provider.create(request())

    assert ("17", "queued") == (video.id, video.status)


def test_rejection_shows_no_internals_and_keeps_the_raw_answer(server: ScriptedServer) -> None:
    """Users read a clean sentence; the operator finds the whole reply, without our key."""
    message = "Blocked by moderation. Quote request id req_9f8e7d6c5b4a when asking. Key sk-secret."
    server.answer(Answer(400, {"error": {"message": message, "code": "moderation_blocked"}}))

    with client(server.base_url) as provider, pytest.raises(ProviderRejected) as caught:
        provider.create(request())

    assert "req_" not in caught.value.message
    assert "Blocked by moderation." in caught.value.message
    assert "req_9f8e7d6c5b4a" in (caught.value.detail or "")
    assert "sk-secret" not in (caught.value.detail or "")
    assert 400 == caught.value.http_status


def test_remix_is_rejected_as_source_gone_when_the_source_is_missing(
    server: ScriptedServer,
) -> None:
    """A 404 on a remix speaks of the source, not of the model."""
    server.answer(Answer(404, {"error": {"message": "not found"}}))

    with client(server.base_url) as provider, pytest.raises(ProviderRejected) as caught:
        provider.remix("video_src", request())

    assert "source_gone" == caught.value.code


# ── retrieve


def test_retrieve_reads_a_failed_job_when_the_http_status_is_an_error(
    server: ScriptedServer,
) -> None:
    """vLLM-Omni answers a failed job with its error's status; the body decides."""
    failed = {**JOB, "status": "failed", "error": {"code": 400, "message": "bad prompt"}}
    server.answer(Answer(400, failed))

    with client(server.base_url, "vllm-omni") as provider:
        video = provider.retrieve("video_abc")

    assert ("failed", "bad prompt") == (video.status, video.error_message)
    assert 1 == len(server.said)


@pytest.mark.parametrize(
    ("answer", "kind", "calls"),
    [
        (Answer(404, {"error": {"message": "no"}}), ProviderMissing, 1),
        (Answer(410, "gone"), ProviderMissing, 1),
        (Answer(401, {"error": {"message": "key"}}), ProviderMisconfigured, 1),
        (Answer(403, "no"), ProviderMisconfigured, 1),
        (Answer(301, headers={"Location": "/x"}), ProviderMisconfigured, 1),
        (Answer(429, {"error": {"code": "insufficient_quota"}}), ProviderBusy, 1),
        (Answer(503, "", headers={"Retry-After": "1"}), ProviderBusy, 1),
        (Answer(500, {"error": {"message": "oops"}}), ProviderTransient, 2),
        (Answer(502, ""), ProviderTransient, 2),
        (Answer(200, "<html>"), ProviderTransient, 1),
        (Answer(200, {"id": "video_abc"}), ProviderTransient, 1),
        (Answer(200, {"status": "error", "message": "try later"}), ProviderTransient, 1),
        (Answer(500, {"id": "err_1", "status": "failed"}), ProviderTransient, 2),
        (Answer(400, {"detail": "?"}), ProviderTransient, 1),
        (Answer(200, JOB, cut=5), ProviderTransient, 2),
    ],
)
def test_retrieve_raises_when_nothing_is_learnt(
    server: ScriptedServer, answer: Answer, kind: type[ProviderError], calls: int
) -> None:
    """Only what is quickly over is asked twice, and no bad answer looks like a failed video."""
    server.answer(answer)

    with client(server.base_url) as provider, pytest.raises(ProviderError) as caught:
        provider.retrieve("video_abc")

    assert kind is type(caught.value)
    assert calls == len(server.said)


def test_retrieve_succeeds_when_the_second_try_does(server: ScriptedServer) -> None:
    """A hiccup of a moment is not even seen by the caller."""
    server.answer(Answer(500, "oops"), Answer(body=JOB))

    with client(server.base_url) as provider:
        video = provider.retrieve("video_abc")

    assert "queued" == video.status


def test_retrieve_is_not_repeated_when_it_timed_out(server: ScriptedServer) -> None:
    """A slow server is not asked again at once; the caller's own clock decides."""
    server.answer(Answer(hang=True))

    with client(server.base_url, read_timeout=0.2) as provider, pytest.raises(ProviderTransient):
        provider.retrieve("video_abc")

    assert 1 == len(server.said)


def test_retrieve_is_transient_when_nobody_listens() -> None:
    """An unreachable provider says nothing about its videos."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]

        with client(f"http://127.0.0.1:{port}/v1") as provider, pytest.raises(ProviderTransient):
            provider.retrieve("video_abc")


def test_retrieve_passes_the_servers_hint_on(server: ScriptedServer) -> None:
    """`openai-poll-after-ms` arrives as seconds."""
    server.answer(Answer(body=JOB, headers={"openai-poll-after-ms": "2500"}))

    with client(server.base_url) as provider:
        video = provider.retrieve("video_abc")

    assert 2.5 == video.poll_after


# ── list


def listed(number: int, age: int = 0) -> dict[str, Any]:
    return {**JOB, "id": f"video_{number}", "created_at": JOB["created_at"] - age}


def page(*jobs: dict[str, Any], more: bool | None = False, **headers: str) -> Answer:
    body: dict[str, Any] = {"object": "list", "data": list(jobs)}
    if more is not None:
        body |= {"has_more": more, "last_id": jobs[-1]["id"] if jobs else None}
    return Answer(body=body, headers={"Date": HTTP_NOW, **headers})


def test_walk_follows_pages_to_the_end(server: ScriptedServer) -> None:
    """Each page begins after the last id of the one before."""
    server.answer(page(listed(1), listed(2, 10), more=True), page(listed(3, 20)))

    with client(server.base_url) as provider:
        walk = provider.walk(until=NOW - timedelta(days=1), max_pages=5)

    assert ["video_1", "video_2", "video_3"] == [video.id for video in walk.videos]
    assert walk.reached
    assert [
        "/v1/videos?limit=100&order=desc",
        "/v1/videos?limit=100&order=desc&after=video_2",
    ] == [said.path for said in server.said]


def test_walk_stops_when_it_is_past_the_asked_time(server: ScriptedServer) -> None:
    """What is older than needed is not fetched."""
    server.answer(page(listed(1, 10), listed(2, 600), more=True))

    with client(server.base_url) as provider:
        walk = provider.walk(until=NOW - timedelta(seconds=60), max_pages=5)

    assert walk.reached
    assert 1 == len(server.said)


def test_walk_compares_by_the_providers_clock(server: ScriptedServer) -> None:
    """A server that lives in the past is judged by its own time."""
    behind = "Sun, 22 Nov 2026 11:00:00 GMT"
    server.answer(page(listed(1, 3700), more=True, Date=behind))

    with client(server.base_url) as provider:
        walk = provider.walk(until=NOW - timedelta(seconds=300), max_pages=1)

    assert timedelta(hours=-1) == walk.server_offset
    assert not walk.reached


def test_walk_is_inconclusive_when_the_server_ignores_after(server: ScriptedServer) -> None:
    """The same page for ever ends the walk, unproven."""
    server.answer(page(listed(1), listed(2, 5), more=True))

    with client(server.base_url) as provider:
        walk = provider.walk(until=NOW - timedelta(days=1), max_pages=50)

    assert not walk.reached
    assert 2 == len(walk.videos)
    assert 2 == len(server.said)


def test_walk_asks_an_unpaged_list_once(server: ScriptedServer) -> None:
    """A list without `has_more` is whole where the profile says so."""
    server.answer(page(listed(1), listed(2, 5), more=None))

    with client(server.base_url, "trtllm") as provider:
        walk = provider.walk(until=NOW - timedelta(days=1), max_pages=5)

    assert walk.reached
    assert 1 == len(server.said)


def test_walk_sends_what_the_profile_needs(server: ScriptedServer) -> None:
    """Bifrost lists only with the provider named."""
    server.answer(page(listed(1)))

    with client(server.base_url, "bifrost") as provider:
        provider.walk(until=NOW, max_pages=1)

    assert "provider=openai" in server.said[0].path


def test_walk_is_unsupported_when_the_profile_has_no_list(server: ScriptedServer) -> None:
    """LiteLLM's list is no list."""
    with client(server.base_url, "litellm") as provider, pytest.raises(Unsupported):
        provider.walk(until=NOW, max_pages=1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(500, "oops"), ProviderTransient),
        (Answer(404, "nothing here"), ProviderTransient),
        (Answer(200, "<html>"), ProviderTransient),
        (Answer(200, {"data": "?"}), ProviderTransient),
        (Answer(401, "key"), ProviderMisconfigured),
        (Answer(429, "slow"), ProviderBusy),
    ],
)
def test_walk_raises_when_there_is_no_list(
    server: ScriptedServer, answer: Answer, kind: type[ProviderError]
) -> None:
    """A failed look is no look: nothing may be concluded from it."""
    server.answer(answer)

    with client(server.base_url) as provider, pytest.raises(ProviderError) as caught:
        provider.walk(until=NOW, max_pages=1)

    assert kind is type(caught.value)


# ── delete


@pytest.mark.parametrize(
    "body", [{"id": "video_abc", "deleted": True}, {"deleted": True}, {**JOB, "status": "deleted"}]
)
def test_delete_accepts_every_dialect_of_yes(server: ScriptedServer, body: Any) -> None:
    """A 2xx is enough."""
    server.answer(Answer(body=body))

    with client(server.base_url) as provider:
        provider.delete("video_abc")

    assert ("DELETE", "/v1/videos/video_abc") == (server.said[0].method, server.said[0].path)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ProviderMissing), (409, ProviderTransient), (401, ProviderMisconfigured)],
)
def test_delete_raises_when_refused(
    server: ScriptedServer, status: int, kind: type[ProviderError]
) -> None:
    """Nobody may believe that it is gone."""
    server.answer(Answer(status, "no"))

    with client(server.base_url) as provider, pytest.raises(kind):
        provider.delete("video_abc")


# ── download


def test_download_streams_the_bytes(server: ScriptedServer) -> None:
    """The bytes arrive whole, typed by what they are."""
    server.answer(Answer(body=MP4, headers={"Content-Type": "application/octet-stream"}))

    with client(server.base_url) as provider, provider.download("video_abc") as download:
        data = b"".join(download.chunks)

    assert MP4 == data
    assert "video/mp4" == download.content_type
    assert len(MP4) == download.content_length
    assert "/v1/videos/video_abc/content" == server.said[0].path


def test_download_asks_for_the_variant(server: ScriptedServer) -> None:
    """A thumbnail is an image of its own."""
    webp = b"RIFF\x00\x00\x00\x00WEBPVP8 "
    server.answer(Answer(body=webp))

    with (
        client(server.base_url) as provider,
        provider.download("video_abc", "thumbnail") as download,
    ):
        assert webp == b"".join(download.chunks)

    assert "image/webp" == download.content_type
    assert "/v1/videos/video_abc/content?variant=thumbnail" == server.said[0].path


def test_download_refuses_variants_that_the_profile_lacks(server: ScriptedServer) -> None:
    """vLLM-Omni would send the whole video as a thumbnail."""
    with (
        client(server.base_url, "vllm-omni") as provider,
        pytest.raises(Unsupported),
        provider.download("video_abc", "thumbnail"),
    ):
        pass


def test_download_takes_avi_only_where_the_profile_says_so(server: ScriptedServer) -> None:
    """TensorRT-LLM may render AVI; from anybody else it is a mistake."""
    avi = b"RIFF\x00\x00\x00\x00AVI LIST"
    server.answer(Answer(body=avi))

    with client(server.base_url, "trtllm") as provider, provider.download("v") as download:
        assert "video/x-msvideo" == download.content_type

    with (
        client(server.base_url) as provider,
        pytest.raises(ContentInvalid),
        provider.download("v"),
    ):
        pass


NOT_CONTENT = [
    (Answer(404, {"error": {"message": "Video is not ready yet."}}), ContentNotReady),
    (Answer(404, {"detail": "Generation is still in-progress"}), ContentNotReady),
    (Answer(400, {"message": "Video x is not ready (status: queued)"}), ContentNotReady),
    (Answer(404, "nothing"), ContentNotReady),
    (Answer(200, {"error": {"message": "Video is not ready yet"}}), ContentNotReady),
    (
        Answer(200, '{"detail": "still in progress"}', headers={"Content-Type": "video/mp4"}),
        ContentNotReady,
    ),
    (Answer(200, {"error": {"message": "boom"}}), ContentInvalid),
    (Answer(200, "<html>still</html>"), ContentInvalid),
    (Answer(200, b""), ContentInvalid),
    (Answer(200, b"\x00" * 100), ContentInvalid),
    (Answer(422, {"detail": "generation failed"}), ContentInvalid),
    (Answer(404, {"error": {"message": "Video 'x' not found."}}), ProviderMissing),
    (Answer(400, {"detail": "Please use the cloud URL: http://c/x"}), ProviderMisconfigured),
    (Answer(401, {"error": {"message": "key"}}), ProviderMisconfigured),
    (Answer(429, "slow"), ProviderBusy),
    (Answer(500, "oops"), ProviderTransient),
]


@pytest.mark.parametrize(("answer", "kind"), NOT_CONTENT)
def test_download_raises_when_no_video_comes(
    server: ScriptedServer, answer: Answer, kind: type[ProviderError]
) -> None:
    """Whatever the content type claims, only a video is a video."""
    server.answer(answer)

    with (
        client(server.base_url) as provider,
        pytest.raises(ProviderError) as caught,
        provider.download("video_abc"),
    ):
        pass

    assert kind is type(caught.value)


def test_download_breaks_when_the_connection_does(server: ScriptedServer) -> None:
    """A cut in the middle is noticed by whoever reads."""
    server.answer(Answer(body=MP4, cut=100))

    with (
        client(server.base_url) as provider,
        pytest.raises(ProviderTransient),
        provider.download("video_abc") as download,
    ):
        list(download.chunks)


def test_download_breaks_when_the_server_falls_silent(server: ScriptedServer) -> None:
    """A server that accepts and then says nothing does not hold a worker."""
    server.answer(Answer(hang=True))

    with (
        client(server.base_url, read_timeout=0.2) as provider,
        pytest.raises(ProviderTransient),
        provider.download("video_abc"),
    ):
        pass


def test_download_follows_redirects_without_our_headers(server: ScriptedServer) -> None:
    """A storage server elsewhere gets the request, not the key."""
    with scripted_server() as storage:
        storage.answer(Answer(body=MP4))
        server.answer(Answer(302, headers={"Location": f"{storage.base_url}/file.mp4"}))

        with (
            client(server.base_url, headers={"api-key": "secret"}) as provider,
            provider.download("video_abc") as download,
        ):
            assert MP4 == b"".join(download.chunks)

    assert "secret" == server.said[0].headers["api-key"]
    assert {"authorization", "api-key"}.isdisjoint(storage.said[0].headers)


def test_download_is_transient_when_the_other_host_refuses(server: ScriptedServer) -> None:
    """A 403 from a storage server is no verdict on our key."""
    with scripted_server() as storage:
        storage.answer(Answer(403, "expired"))
        server.answer(Answer(302, headers={"Location": f"{storage.base_url}/file.mp4"}))

        with (
            client(server.base_url) as provider,
            pytest.raises(ProviderTransient),
            provider.download("video_abc"),
        ):
            pass


# ── probe, threads


def test_probe_is_content_when_all_fits(server: ScriptedServer) -> None:
    """A server that is what its profile says has no problems."""
    server.answer(page(listed(1)), Answer(404, {"error": {"message": "no"}}))

    with client(server.base_url) as provider:
        probe = provider.probe()

    assert (True, True, True, ()) == (
        probe.reachable,
        probe.key_accepted,
        probe.lists,
        probe.problems,
    )


def test_probe_names_what_does_not_fit(server: ScriptedServer) -> None:
    """A list without prompts cannot tell look-alikes apart, and the operator should know."""
    silent = {name: value for name, value in listed(1).items() if name != "prompt"}
    server.answer(page(silent), Answer(404, {"error": {"message": "no"}}))

    with client(server.base_url) as provider:
        probe = provider.probe()

    (problem,) = probe.problems
    assert "does not show prompt" in problem


@pytest.mark.parametrize(
    ("profile", "answer", "told"),
    [
        ("vllm-omni", Answer(405, {"detail": "Method Not Allowed"}), 'try remix = "remix"'),
        ("openai", Answer(404, {"detail": "Not Found"}), 'set remix = "none"'),
    ],
)
def test_probe_tells_of_a_remix_that_the_profile_does_not_know(
    server: ScriptedServer, profile: str, answer: Answer, told: str
) -> None:
    """A router tells a wrong method from a route that is not there, and nothing is paid for."""
    server.answer(page(listed(1)), Answer(404, {"detail": "Video not found"}), answer)

    with client(server.base_url, profile) as provider:
        probe = provider.probe()

    (problem,) = probe.problems
    assert told in problem
    assert {"GET"} == {said.method for said in server.said}


def test_probe_says_when_the_key_is_refused(server: ScriptedServer) -> None:
    """The key is the first thing to look at."""
    server.answer(Answer(401, {"error": {"message": "bad key"}}))

    with client(server.base_url) as provider:
        probe = provider.probe()

    assert (True, False) == (probe.reachable, probe.key_accepted)


def test_probe_says_when_nobody_is_there() -> None:
    """It never raises."""
    with client("http://nobody.invalid/v1") as provider:
        probe = provider.probe()

    assert not probe.reachable


def test_probe_doubts_the_address_when_html_comes(server: ScriptedServer) -> None:
    """A web page under the base URL is not the API."""
    server.answer(Answer(200, "<html>Welcome</html>"))

    with client(server.base_url) as provider:
        probe = provider.probe()

    assert False is probe.lists
    assert any("base URL" in problem for problem in probe.problems)


def test_one_client_serves_many_threads(server: ScriptedServer) -> None:
    """A worker's threads share the connections of one client."""
    server.answer(Answer(body=JOB))
    seen: list[str] = []

    with client(server.base_url) as provider:
        threads = [
            threading.Thread(target=lambda: seen.append(provider.retrieve("video_abc").id))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert ["video_abc"] * 20 == seen
