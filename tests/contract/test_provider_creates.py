"""The adapter against scripted servers: what it sends, and what becomes of a create."""

from __future__ import annotations

import socket
from dataclasses import replace
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest

from orchestrator.catalog import PROFILES, Provider
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnreachable,
    Unsupported,
)
from orchestrator.providers import (
    InputReference,
    open_provider,
)
from tests.contract.adapter_stage import JOB, client, request
from tests.contract.scripted_server import Answer, ScriptedServer


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


@pytest.mark.parametrize(
    ("call", "remix"), [("edit", "remix"), ("remix", "edits")], ids=["edit", "remix by edits"]
)
def test_edit_names_its_source_in_json(server: ScriptedServer, call: str, remix: str) -> None:
    """The SDK's own method cannot send that. Where remix is gone, an edit takes its place."""
    server.answer(Answer(body=JOB))
    profile = replace(PROFILES["openai"], remix=remix)

    opened = open_provider(Provider("main", profile, server.base_url))
    getattr(opened, call)("video_src", request(prompt="in snow"))
    opened.close()

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
