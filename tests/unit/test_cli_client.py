"""The client: what it sends, what it tries again, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from orchestrator.cli.client import TRIES, Body, Server, video_path
from orchestrator.cli.errors import Failed, Refused, Unreachable
from tests.answering_server import Answer, AnsweringServer, answering_server, refusal
from tests.cli import FakeTime

BUSY = Answer(refusal(503, "dependency_down", "The database does not answer."), 503)


@pytest.fixture
def server(answering: AnsweringServer, time: FakeTime) -> Iterator[Server]:
    """A client of that server."""
    with Server(answering.url, api_key="vo_key", user="alice", clock=time.clock) as client:
        yield client


def test_key_and_user_are_sent_when_they_are_given(
    answering: AnsweringServer, server: Server
) -> None:
    """The server learns who asks."""
    answering.answer("GET /api/quota", {"used": 1})

    quota = server.get("/api/quota")

    assert {"used": 1} == quota
    assert "Bearer vo_key" == answering.asked[0].headers["Authorization"]
    assert "alice" == answering.asked[0].headers["X-User-Id"]


def test_query_is_encoded_when_values_are_odd(answering: AnsweringServer, server: Server) -> None:
    """What is None is left out, lists repeat their name, and nothing breaks the request line."""
    line = "GET /api/videos?status=queued&status=failed&q=a%26b+%C3%BC"
    answering.answer(line, {"data": []})

    server.get("/api/videos", status=("queued", "failed"), q="a&b ü", model=None, cursor=())

    assert [line] == answering.lines()


def test_path_stays_one_step_when_an_id_is_odd() -> None:
    """Whatever is typed as an id cannot reach another route."""
    assert "/api/videos/..%2Fquota%3Fa/cancel" == video_path("../quota?a", "/cancel")


def test_connection_is_kept_when_requests_follow_each_other(
    answering: AnsweringServer, server: Server
) -> None:
    """Polling costs one connection."""
    answering.answer("GET /api/quota", {})

    for _ in range(3):
        server.get("/api/quota")

    assert 1 == answering.connections


def test_path_in_front_is_kept_when_the_url_has_one(answering: AnsweringServer) -> None:
    """A server behind a prefix can be reached."""
    answering.answer("GET /video/api/quota", {"used": 2})

    with Server(f"{answering.url}/video/") as server:
        assert {"used": 2} == server.get("/api/quota")


def test_same_key_is_sent_again_when_the_connection_is_cut(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """A creation may be repeated, because the server knows its key."""
    answering.answer("POST /api/videos", Answer(cut=-1), {"id": "video_1"})

    video = server.post("/api/videos", Body.of_json({"prompt": "x"}), key="key-1")

    assert {"id": "video_1"} == video
    assert ["key-1", "key-1"] == [asked.headers["Idempotency-Key"] for asked in answering.asked]
    assert [{"prompt": "x"}] * 2 == [asked.json for asked in answering.asked]
    assert 1 == len(time.slept)


def test_request_is_repeated_when_the_answer_ends_early(
    answering: AnsweringServer, server: Server
) -> None:
    """Half an answer is no answer."""
    answering.answer("GET /api/quota", Answer({"used": 1}, cut=4), {"used": 1})

    assert {"used": 1} == server.get("/api/quota")


def test_pauses_grow_when_the_server_stays_unavailable(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """After a few tries, its own words end the command as `no answer`."""
    answering.answer("GET /api/quota", BUSY)

    with pytest.raises(Unreachable) as caught:
        server.get("/api/quota")

    assert "The database does not answer. (dependency_down)" == caught.value.message
    assert 3 == caught.value.exit_code
    assert TRIES == len(answering.asked)
    assert [0.2, 0.4, 0.8] == pytest.approx(time.slept)


def test_wait_is_the_servers_when_it_names_one(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """Retry-After is honoured, also of a rate limit."""
    limited = Answer(refusal(429, "rate_limited", "Too fast."), 429, {"Retry-After": "7"})
    answering.answer("GET /api/quota", limited, {"used": 1})

    server.get("/api/quota")

    assert [7.0] == time.slept


def test_nobody_waits_when_the_server_asks_for_too_long(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """A person is told rather than left with a silent prompt."""
    limited = Answer(refusal(429, "rate_limited", "Too fast."), 429, {"Retry-After": "3600"})
    answering.answer("GET /api/quota", limited)

    with pytest.raises(Refused, match="Too fast"):
        server.get("/api/quota")

    assert [] == time.slept


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_value"), (401, "unauthenticated"), (409, "conflict"), (429, "quota_exceeded")],
)
def test_refusal_is_final_when_it_will_not_pass(
    answering: AnsweringServer, server: Server, status: int, code: str
) -> None:
    """What cannot change is asked once; a spent quota is no rate limit."""
    answering.answer("POST /api/videos", Answer(refusal(status, code, "No."), status))

    with pytest.raises(Refused) as caught:
        server.post("/api/videos", Body.of_json({}), key="k")

    assert (status, code, 4) == (caught.value.status, caught.value.code, caught.value.exit_code)
    assert 1 == len(answering.asked)


def test_variable_is_named_when_a_key_is_missing(
    answering: AnsweringServer, server: Server
) -> None:
    """The server says what it wants; only we know where it is to be put."""
    answering.answer("GET /api/quota", Answer(refusal(401, "unauthenticated", "No."), 401))

    with pytest.raises(Refused, match="ORCHESTRATOR_API_KEY"):
        server.get("/api/quota")


def test_field_and_words_are_told_when_the_server_refuses(
    answering: AnsweringServer, server: Server
) -> None:
    """One line holds the field, the server's own words and the code."""
    problem = refusal(400, "invalid_value", "must be\none of 4, 8", param="seconds")
    answering.answer("GET /api/videos", Answer(problem, 400))

    with pytest.raises(Refused) as caught:
        server.get("/api/videos")

    assert "seconds: must be one of 4, 8 (invalid_value)" == caught.value.message


def test_status_is_told_when_a_refusal_is_no_problem_document(
    answering: AnsweringServer, server: Server
) -> None:
    """A proxy's page of HTML is not shown to anybody."""
    answering.answer("GET /api/videos", Answer(b"<h1>Forbidden</h1>", 403))

    with pytest.raises(Refused) as caught:
        server.get("/api/videos")

    assert "The server answers HTTP 403. (403)" == caught.value.message


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff"])
def test_server_is_doubted_when_it_answers_something_else(
    answering: AnsweringServer, server: Server, body: bytes
) -> None:
    """A wrong URL that answers 200 is told from an orchestrator."""
    answering.answer("GET /api/videos", Answer(body))

    with pytest.raises(Failed, match="as an orchestrator does"):
        server.get("/api/videos")


def test_answer_is_empty_when_there_is_no_content(
    answering: AnsweringServer, server: Server
) -> None:
    """204 is an answer."""
    answering.answer("DELETE /api/videos/x", Answer(status=204))

    assert {} == server.delete("/api/videos/x")


def test_connection_is_opened_anew_when_the_server_closes_it(
    answering: AnsweringServer, server: Server, time: FakeTime
) -> None:
    """`Connection: close` is not mistaken for a failure."""
    answering.answer("GET /api/quota", Answer({"used": 1}, headers={"Connection": "close"}))

    server.get("/api/quota")
    server.get("/api/quota")

    assert 2 == answering.connections
    assert [] == time.slept


def test_address_is_told_when_nobody_listens(time: FakeTime) -> None:
    """Exit code 3, the address and what to try."""
    with (
        Server("http://127.0.0.1:1", clock=time.clock) as server,
        pytest.raises(Unreachable) as caught,
    ):
        server.get("/api/quota")

    assert (
        "No answer from http://127.0.0.1:1: connection refused. Is it running (orchestrator up)?"
        == caught.value.message
    )
    assert TRIES - 1 == len(time.slept)


@pytest.mark.parametrize("url", ["ftp://host", "host:8000", "http://", "http://host:port"])
def test_url_is_refused_when_it_cannot_be(url: str) -> None:
    """A typing error is wrong usage, found before anything is sent."""
    with pytest.raises(click.BadParameter):
        Server(url)


def test_key_stays_here_when_a_download_is_redirected(
    answering: AnsweringServer, server: Server
) -> None:
    """The storage's signed address gets the range, and not our key."""
    with answering_server() as storage:
        storage.answer("GET /bucket/film?sig=1", Answer(b"bytes"))
        moved = Answer(status=302, headers={"Location": f"{storage.url}/bucket/film?sig=1"})
        answering.answer("GET /api/videos/v/download", moved)

        with server.stream("/api/videos/v/download", headers={"Range": "bytes=0-"}) as stream:
            data = b"".join(stream.chunks())

    assert b"bytes" == data
    assert "bytes=0-" == storage.asked[0].headers["Range"]
    assert storage.asked[0].headers["Authorization"] is None


def test_download_is_refused_when_the_storage_refuses(
    answering: AnsweringServer, server: Server
) -> None:
    """An expired signature is a refusal, not a file."""
    answering.answer("GET /api/videos/v/download", Answer(status=302, headers={"Location": "/s"}))
    answering.answer("GET /s", Answer(b"<Error>", 403))

    with (
        pytest.raises(Refused, match="HTTP 403"),
        server.stream("/api/videos/v/download", headers={}),
    ):
        pass


def test_download_breaks_off_when_the_server_ends_early(
    answering: AnsweringServer, server: Server
) -> None:
    """Fewer bytes than announced are never taken for the file."""
    answering.answer("GET /api/videos/v/download", Answer(b"0123456789", cut=4))

    with server.stream("/api/videos/v/download", headers={}) as stream:
        received: list[bytes] = []
        with pytest.raises(Unreachable, match="broke off"):
            received.extend(stream.chunks())

    assert 10 == stream.total
