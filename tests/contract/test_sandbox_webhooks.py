"""Webhooks of the sandbox, received and verified as an application would."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from openai import DefaultHttpxClient, InvalidWebhookSignatureError, OpenAI

from orchestrator.sandbox.server import RunningSandbox, running_sandbox

SECRET = "whsec_c2FuZGJveC1zZWNyZXQtZm9yLXRlc3Rz"
PATIENCE_SECONDS = 30

Message = tuple[dict[str, str], bytes]


def sdk(provider: RunningSandbox) -> OpenAI:
    """A client without TLS: loading the certificates takes longer than most tests here."""
    return OpenAI(
        base_url=provider.base_url,
        api_key="sk-any",
        webhook_secret=SECRET,
        max_retries=0,
        timeout=30,
        http_client=DefaultHttpxClient(verify=False),
    )


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, queue.Queue[Message]]]:
    """Answers with these statuses in turn, then with 200; yields its address and what came."""
    messages: queue.Queue[Message] = queue.Queue()
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(next(answers, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?a=1", messages
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_end_of_each_job_is_reported_and_verifies() -> None:
    """One signed message a job, with its id and no more."""
    with (
        receiver() as (url, messages),
        running_sandbox(
            instant_video=True, render_seconds=0.05, webhook_url=url, webhook_secret=SECRET
        ) as provider,
        sdk(provider) as client,
    ):
        expected = {
            (client.videos.create(prompt="a cat").id, "video.completed"),
            (client.videos.create(prompt="[fail]").id, "video.failed"),
        }

        received = [messages.get(timeout=PATIENCE_SECONDS) for _ in expected]
        for headers, body in received:
            client.webhooks.verify_signature(body, headers)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(received[0][1] + b" ", received[0][0])

    events = [json.loads(body) for _, body in received]
    assert {(event["data"]["id"], event["type"]) for event in events} == expected
    assert {headers["webhook-id"] for headers, _ in received} == {event["id"] for event in events}


def test_message_comes_again_when_it_was_refused() -> None:
    """The same message with the same id, a second later."""
    with (
        receiver(500) as (url, messages),
        running_sandbox(
            instant_video=True, render_seconds=0, webhook_url=url, webhook_secret=SECRET
        ) as provider,
        sdk(provider) as client,
    ):
        client.videos.create(prompt="a cat")

        first, second = (messages.get(timeout=PATIENCE_SECONDS) for _ in range(2))

    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]


def test_deleted_job_is_not_reported() -> None:
    """What is gone has no end to tell of."""
    with (
        receiver() as (url, messages),
        running_sandbox(
            instant_video=True, render_seconds=1, webhook_url=url, webhook_secret=SECRET
        ) as provider,
        sdk(provider) as client,
    ):
        client.videos.delete(client.videos.create(prompt="a dog").id)
        kept = client.videos.create(prompt="a cat")

        _, body = messages.get(timeout=PATIENCE_SECONDS)

    assert json.loads(body)["data"]["id"] == kept.id
    assert messages.empty()
