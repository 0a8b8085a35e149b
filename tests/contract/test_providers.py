"""The adapter against scripted servers: looks, lists, deletions, and what a probe finds."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.errors import (
    ProviderBusy,
    ProviderError,
    ProviderMisconfigured,
    ProviderMissing,
    ProviderTransient,
    Unsupported,
)
from orchestrator.providers import Span
from tests.contract.adapter_stage import HTTP_NOW, JOB, NOW, client
from tests.contract.scripted_server import Answer, ScriptedServer

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
        walk = provider.walk(Span(until=NOW - timedelta(days=1), max_pages=5))

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
        walk = provider.walk(Span(until=NOW - timedelta(seconds=60), max_pages=5))

    assert walk.reached
    assert 1 == len(server.said)


def test_walk_compares_by_the_providers_clock(server: ScriptedServer) -> None:
    """A server that lives in the past is judged by its own time."""
    behind = "Sun, 22 Nov 2026 11:00:00 GMT"
    server.answer(page(listed(1, 3700), more=True, Date=behind))

    with client(server.base_url) as provider:
        walk = provider.walk(Span(until=NOW - timedelta(seconds=300), max_pages=1))

    assert timedelta(hours=-1) == walk.server_offset
    assert not walk.reached


def test_walk_is_inconclusive_when_the_server_ignores_after(server: ScriptedServer) -> None:
    """The same page for ever ends the walk, unproven."""
    server.answer(page(listed(1), listed(2, 5), more=True))

    with client(server.base_url) as provider:
        walk = provider.walk(Span(until=NOW - timedelta(days=1), max_pages=50))

    assert not walk.reached
    assert 2 == len(walk.videos)
    assert 2 == len(server.said)


def test_walk_asks_an_unpaged_list_once(server: ScriptedServer) -> None:
    """A list without `has_more` is whole where the profile says so."""
    server.answer(page(listed(1), listed(2, 5), more=None))

    with client(server.base_url, "trtllm") as provider:
        walk = provider.walk(Span(until=NOW - timedelta(days=1), max_pages=5))

    assert walk.reached
    assert 1 == len(server.said)


def test_walk_sends_what_the_profile_needs(server: ScriptedServer) -> None:
    """Bifrost lists only with the provider named."""
    server.answer(page(listed(1)))

    with client(server.base_url, "bifrost") as provider:
        provider.walk(Span(until=NOW, max_pages=1))

    assert "provider=openai" in server.said[0].path


def test_walk_is_unsupported_when_the_profile_has_no_list(server: ScriptedServer) -> None:
    """LiteLLM's list is no list."""
    with client(server.base_url, "litellm") as provider, pytest.raises(Unsupported):
        provider.walk(Span(until=NOW, max_pages=1))


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
        provider.walk(Span(until=NOW, max_pages=1))

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
