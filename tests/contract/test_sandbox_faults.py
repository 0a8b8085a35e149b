"""Misbehaviour on demand, as a client feels it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from orchestrator.sandbox.books import report
from orchestrator.sandbox.server import RunningSandbox, running_sandbox


def sdk(provider: RunningSandbox, timeout: float = 30) -> OpenAI:
    """A client without TLS: loading the certificates takes longer than most tests here."""
    return OpenAI(
        base_url=provider.base_url,
        api_key="sk-any",
        max_retries=0,
        timeout=timeout,
        http_client=DefaultHttpxClient(verify=False),
    )


@pytest.fixture
def provider() -> Iterator[RunningSandbox]:
    """Videos are ready at once."""
    with running_sandbox(instant_video=True, render_seconds=0, seed=1) as running:
        yield running


@pytest.fixture
def client(provider: RunningSandbox) -> Iterator[OpenAI]:
    with sdk(provider) as opened:
        yield opened


def accepted(provider: RunningSandbox) -> int:
    return len(provider.sandbox.jobs.everything())


def call(
    provider: RunningSandbox, method: str, path: str, body: str = "", content_type: str = ""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(provider.root_url).netloc, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": content_type})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("create.400", openai.BadRequestError),
        ("create.401", openai.AuthenticationError),
        ("create.403", openai.PermissionDeniedError),
        ("create.no_model", openai.NotFoundError),
        ("create.quota", openai.RateLimitError),
        ("create.429", openai.RateLimitError),
        ("create.500", openai.InternalServerError),
        ("create.503", openai.InternalServerError),
        ("create.moderation", openai.BadRequestError),
        ("create.cut", openai.APIConnectionError),
        ("create.hang_then_cut:0.01", openai.APIConnectionError),
    ],
)
def test_nothing_is_accepted_when_a_create_is_refused(
    provider: RunningSandbox, client: OpenAI, fault: str, error: type[openai.APIError]
) -> None:
    """Refused requests leave no job; the one after them does."""
    provider.sandbox.faults.change(f"{fault}@1")

    with pytest.raises(error):
        client.videos.create(prompt="a cat")
    client.videos.create(prompt="a cat")

    assert accepted(provider) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("create.accept_then_cut", openai.APIConnectionError),
        ("create.500_after_accept", openai.InternalServerError),
    ],
)
def test_job_exists_though_its_create_failed(
    provider: RunningSandbox, client: OpenAI, fault: str, error: type[openai.APIError]
) -> None:
    """The worst case of a submission: paid for, and nobody was told."""
    provider.sandbox.faults.change(fault)

    with pytest.raises(error):
        client.videos.create(prompt="a cat")

    assert accepted(provider) == 1
    assert [video.prompt for video in client.videos.list()] == ["a cat"]


def test_reply_names_no_id_when_it_is_withheld(provider: RunningSandbox, client: OpenAI) -> None:
    """A 200 that says everything but the id."""
    provider.sandbox.faults.change("create.no_id")

    video = client.videos.create(prompt="a cat")

    assert (video.id, video.prompt, accepted(provider)) == (None, "a cat", 1)


@pytest.mark.parametrize(("fault", "jobs"), [("create.html", 0), ("create.html_after_accept", 1)])
def test_reply_is_a_page_when_a_proxy_answers(
    provider: RunningSandbox, client: OpenAI, fault: str, jobs: int
) -> None:
    """200 and HTML; whether there is a job behind it is another matter."""
    provider.sandbox.faults.change(fault)

    reply: object = client.videos.create(prompt="a cat")

    assert isinstance(reply, str)
    assert accepted(provider) == jobs


def test_waiting_time_is_named_when_asked_for(provider: RunningSandbox, client: OpenAI) -> None:
    """Retry-After carries the value of the fault."""
    provider.sandbox.faults.change("create.429_retry_after:7")

    with pytest.raises(openai.RateLimitError) as error:
        client.videos.create(prompt="a cat")

    assert error.value.response.headers["retry-after"] == "7"


def test_answer_is_late_when_the_server_hangs(provider: RunningSandbox, client: OpenAI) -> None:
    """The client gives up, the job exists."""
    provider.sandbox.faults.change("create.hang:20@1")

    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).videos.create(prompt="a cat")

    assert accepted(provider) == 1


def test_server_stops_at_once_when_a_request_hangs() -> None:
    """Nobody waits for a wait that was asked for."""
    with running_sandbox(instant_video=True, faults="create.hang:60") as provider:
        with (
            sdk(provider, timeout=0.3) as client,
            pytest.raises(openai.APITimeoutError),
        ):
            client.videos.create(prompt="a cat")
        began = time.monotonic()

    assert time.monotonic() - began < 10


def test_remix_suffers_what_creates_suffer(provider: RunningSandbox, client: OpenAI) -> None:
    """Everything that is accepted and paid for goes through the same faults."""
    source = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("create.accept_then_cut")

    with pytest.raises(openai.APIConnectionError):
        client.videos.remix(source.id, prompt="at night")

    assert accepted(provider) == 2


@pytest.mark.parametrize("fault", ["get.404", "get.500", "get.429", "get.cut"])
def test_poll_recovers_when_the_fault_has_passed(
    provider: RunningSandbox, client: OpenAI, fault: str
) -> None:
    """A flap says nothing about the job."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change(f"{fault}@1")

    with pytest.raises(openai.APIError):
        client.videos.retrieve(video.id)

    assert client.videos.retrieve(video.id).status == "completed"


def test_status_is_unheard_of_when_asked_for(provider: RunningSandbox, client: OpenAI) -> None:
    """Servers invent statuses."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("get.unknown_status:dreaming")

    status: str = client.videos.retrieve(video.id).status

    assert status == "dreaming"


def test_list_lags_behind_when_asked_to(provider: RunningSandbox, client: OpenAI) -> None:
    """New jobs can be polled, but are not listed yet."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("list.lag:60")

    assert list(client.videos.list()) == []
    assert client.videos.retrieve(video.id).id == video.id


def test_list_never_ends_when_after_is_ignored(provider: RunningSandbox, client: OpenAI) -> None:
    """The same page for ever, and always more of it."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("list.ignore_after")

    pages = [client.videos.list(limit=1, after=after) for after in (video.id, video.id)]

    assert [(page.data[0].id, page.has_next_page()) for page in pages] == [(video.id, True)] * 2


def test_list_is_empty_when_asked_to_be(provider: RunningSandbox, client: OpenAI) -> None:
    """A clean answer that is wrong."""
    client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("list.empty")

    assert list(client.videos.list()) == []


def test_content_ends_early_when_truncated(provider: RunningSandbox, client: OpenAI) -> None:
    """The announced length is not reached."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("content.truncated@1")

    with pytest.raises(openai.APIConnectionError):
        client.videos.download_content(video.id)

    assert client.videos.download_content(video.id).read()[4:8] == b"ftyp"


def test_content_is_json_when_wrong(provider: RunningSandbox, client: OpenAI) -> None:
    """200, and an error inside."""
    video = client.videos.create(prompt="a cat")
    provider.sandbox.faults.change("content.wrong")

    assert "error" in json.loads(client.videos.download_content(video.id).read())


def test_content_is_whole_when_slow(provider: RunningSandbox, client: OpenAI) -> None:
    """Slices add up."""
    video = client.videos.create(prompt="a cat")
    whole = client.videos.download_content(video.id).read()
    provider.sandbox.faults.change(f"content.slow:{len(whole) * 4}")

    assert client.videos.download_content(video.id).read() == whole


def test_jobs_have_other_fates_when_faults_say_so(provider: RunningSandbox, client: OpenAI) -> None:
    """Failed, stuck, or all forgotten."""
    fates = {}
    for fault in ("job.fail", "job.stuck"):
        provider.sandbox.faults.change(fault)
        video = client.videos.create(prompt="a cat")
        fates[fault] = client.videos.retrieve(video.id).status
    provider.sandbox.faults.change("job.forget")
    client.videos.create(prompt="a cat")

    assert fates == {"job.fail": "failed", "job.stuck": "in_progress"}
    assert list(client.videos.list()) == []
    assert accepted(provider) == 3


def test_durations_differ_when_spread() -> None:
    """A spread of one means up to as long again."""
    with running_sandbox(
        instant_video=True, render_seconds=10, faults="job.duration_spread:1", seed=3
    ) as provider:
        for _ in range(8):
            call(provider, "POST", "/v1/videos", '{"prompt": "a"}', "application/json")
        spans = [job.ready_at - job.created_at for job in provider.sandbox.jobs.everything()]

    assert all(9.99 <= span <= 20.01 for span in spans)
    assert max(spans) - min(spans) > 1


def test_creates_are_refused_when_the_cap_is_reached() -> None:
    """Too many running tasks, without a Retry-After; a finished one makes room."""
    with (
        running_sandbox(instant_video=True, render_seconds=3600, max_concurrent=1) as provider,
        sdk(provider) as client,
    ):
        first = client.videos.create(prompt="a cat")
        with pytest.raises(openai.RateLimitError, match="Too many running tasks") as error:
            client.videos.create(prompt="a cat")
        client.videos.delete(first.id)
        client.videos.create(prompt="a cat")

    assert error.value.type == "video_generation_user_error"
    assert "retry-after" not in error.value.response.headers


def test_same_key_makes_two_jobs_when_keys_are_ignored(
    provider: RunningSandbox, client: OpenAI
) -> None:
    """As every server seen: the books show the duplicate."""
    for _ in range(2):
        client.videos.create(prompt="a cat", extra_headers={"Idempotency-Key": "k1"})
    client.videos.create(prompt="a cat", extra_headers={"Idempotency-Key": "k2"})

    (duplicate,) = report(provider.sandbox)["duplicates"]

    assert (duplicate["idempotency_key"], duplicate["accepted_count"]) == ("k1", 2)
    assert len(set(duplicate["ids"])) == 2


def test_same_key_makes_one_job_when_keys_are_honoured() -> None:
    """The same job again; another body under the same key is refused."""
    with (
        running_sandbox(instant_video=True, honour_idempotency_key=True) as provider,
        sdk(provider) as client,
    ):
        key = {"Idempotency-Key": "k1"}
        ids = {client.videos.create(prompt="a cat", extra_headers=key).id for _ in range(2)}
        with pytest.raises(openai.UnprocessableEntityError):
            client.videos.create(prompt="a dog", extra_headers=key)
        jobs = accepted(provider)

    assert (len(ids), jobs) == (1, 1)


def test_faults_change_while_it_runs(provider: RunningSandbox) -> None:
    """As JSON or as plain text; the answer tells what is in force."""
    as_json = call(
        provider, "PUT", "/sandbox/faults", '{"faults": "get.404@1"}', "application/json"
    )
    struck, _ = call(provider, "GET", "/v1/videos/video_x")
    shown = json.loads(call(provider, "GET", "/sandbox/faults")[1])
    as_text = call(provider, "PUT", "/sandbox/faults", "get.500=0.5", "text/plain")

    assert (as_json[0], struck, as_text[0]) == (200, 404, 200)
    assert (shown["faults"], shown["fired"]) == ("get.404@1", {"get.404": 1})
    assert "accept_then_cut" in shown["known"]["create"]
    assert provider.sandbox.faults.text == "get.500=0.5"


@pytest.mark.parametrize("body", ['{"faults": 7}', "[]", "{", '{"faults": "x.y"}'])
def test_faults_are_refused_when_they_make_no_sense(provider: RunningSandbox, body: str) -> None:
    """400 with a reason; what was in force stays."""
    status, answer = call(provider, "PUT", "/sandbox/faults", body, "application/json")

    assert status == 400
    assert json.loads(answer)["error"]["message"]
    assert provider.sandbox.faults.text == ""


def test_everything_is_forgotten_on_demand(provider: RunningSandbox, client: OpenAI) -> None:
    """Clients see nothing any longer, the books still know."""
    video = client.videos.create(prompt="a cat")

    _, answer = call(provider, "POST", "/sandbox/forget")

    assert json.loads(answer) == {"forgotten": 1}
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    assert report(provider.sandbox)["accepted"] == {"total": 1, "create": 1}


def test_page_shows_prompts_as_text(provider: RunningSandbox, client: OpenAI) -> None:
    """A prompt is no markup, and broken characters break nothing."""
    client.videos.create(prompt="<script>alert(1)</script>")
    call(provider, "POST", "/v1/videos", '{"prompt": "\\ud800"}', "application/json")

    status, page = call(provider, "GET", "/")

    assert status == 200
    assert b"&lt;script&gt;alert(1)" in page
    assert b"<script>" not in page
