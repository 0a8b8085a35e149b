"""Each imitated server, with plain HTTP: what it accepts, shows, lists and deletes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from orchestrator.sandbox.books import report
from orchestrator.sandbox.dialects import DIALECTS
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from tests.clock import Clock

BOUNDARY = "sandbox-boundary"
SECONDS = 10


class Caller:
    """Speaks to a sandbox in the encoding that its dialect understands."""

    def __init__(self, provider: RunningSandbox, clock: Clock):
        self.provider, self.clock = provider, clock
        self.json = "json" in provider.sandbox.dialect.encodings

    def call(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        address = urlsplit(self.provider.base_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.request(method, address.path + path, body, dict(headers))
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        kind = reply.headers.get_content_type()
        return reply.status, json.loads(data) if kind == "application/json" else data

    def create(self, prompt: str = "a cat", **fields: str) -> tuple[int, Any]:
        asked = {"prompt": prompt, "model": "sora-2", "seconds": "4", "size": "720x1280", **fields}
        return self.as_json(asked) if self.json else self.as_form(asked)

    def as_json(self, fields: Mapping[str, Any]) -> tuple[int, Any]:
        return self.call(
            "POST", "/videos", json.dumps(fields), {"Content-Type": "application/json"}
        )

    def as_form(self, fields: Mapping[str, str]) -> tuple[int, Any]:
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.call("POST", "/videos", "".join(parts) + f"--{BOUNDARY}--\r\n", kind)

    def finished(self, prompt: str = "a cat") -> str:
        _, video = self.create(prompt)
        self.clock.now += SECONDS
        return quote(video["id"], safe="")


@contextmanager
def imitating(dialect: str, **settings: Any) -> Iterator[Caller]:
    clock = Clock()
    options = {"instant_video": True, "render_seconds": SECONDS, **settings}
    with running_sandbox(dialect=dialect, clock=clock, **options) as provider:
        yield Caller(provider, clock)


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_video_can_be_made_and_fetched_in_every_dialect(dialect: str) -> None:
    """Create, poll until done, download: the way that every server has in common."""
    with imitating(dialect) as caller:
        status, created = caller.create()
        video_id = quote(created["id"], safe="")
        not_ready, _ = caller.call("GET", f"/videos/{video_id}/content")
        caller.clock.now += SECONDS
        _, done = caller.call("GET", f"/videos/{video_id}")
        ready, content = caller.call("GET", f"/videos/{video_id}/content")

    assert status == (202 if dialect == "trtllm" else 200)
    assert not_ready == (400 if dialect in {"trtllm", "bifrost"} else 404)
    assert done["status"] == "completed"
    assert (ready, content[4:8]) == (200, b"ftyp")


@pytest.mark.parametrize(
    ("dialect", "json_status", "form_status"),
    [("openai", 200, 200), ("vllm-omni", 415, 200), ("bifrost", 200, 415), ("trtllm", 202, 202)],
)
def test_encoding_is_refused_when_the_server_does_not_read_it(
    dialect: str, json_status: int, form_status: int
) -> None:
    """Some read multipart only, some JSON only."""
    with imitating(dialect) as caller:
        as_json, _ = caller.as_json({"prompt": "a cat"})
        as_form, _ = caller.as_form({"prompt": "a cat"})

    assert (as_json, as_form) == (json_status, form_status)


@pytest.mark.parametrize(
    ("dialect", "prompt", "status"),
    [("openai", "[fail]", 200), ("vllm-omni", "[fail]", 500), ("vllm-omni", "[moderation]", 400)],
)
def test_failed_job_is_an_http_error_when_the_server_reports_it_so(
    dialect: str, prompt: str, status: int
) -> None:
    """The body is the job in any case."""
    with imitating(dialect) as caller:
        video_id = caller.finished(prompt)

        actual, video = caller.call("GET", f"/videos/{video_id}")

    assert (actual, video["status"]) == (status, "failed")


@pytest.mark.parametrize(
    ("dialect", "query", "status"),
    [
        ("openai", "", 200),
        ("litellm", "", 400),
        ("bifrost", "", 400),
        ("bifrost", "?provider=openai", 200),
        ("sglang", "", 200),
    ],
)
def test_list_is_there_as_far_as_the_server_has_one(dialect: str, query: str, status: int) -> None:
    """Refused, bound to a parameter, or plain."""
    with imitating(dialect) as caller:
        actual, _ = caller.call("GET", f"/videos{query}")

    assert actual == status


def test_list_shows_everything_when_the_server_does_not_page() -> None:
    """TensorRT-LLM answers with all jobs, whatever limit was asked for."""
    with imitating("trtllm") as caller:
        for _ in range(3):
            caller.create()

        _, page = caller.call("GET", "/videos?limit=1")

    assert len(page["data"]) == 3
    assert set(page) == {"object", "data"}


@pytest.mark.parametrize(
    ("dialect", "status", "running"),
    [("openai", 200, 0), ("litellm", 405, 1), ("sglang", 200, 1), ("fastvideo", 200, 1)],
)
def test_delete_stops_a_job_as_far_as_the_server_can(
    dialect: str, status: int, running: int
) -> None:
    """Absent, only out of sight, or really cancelled."""
    with imitating(dialect) as caller:
        _, video = caller.create()

        actual, _ = caller.call("DELETE", f"/videos/{quote(video['id'], safe='')}")

        assert (actual, caller.provider.sandbox.jobs.running()) == (status, running)


@pytest.mark.parametrize(
    ("dialect", "status"), [("openai", 200), ("litellm", 200), ("sglang", 404), ("vllm-omni", 404)]
)
def test_remix_is_absent_when_the_server_has_none(dialect: str, status: int) -> None:
    """Self-hosted servers know no remix."""
    with imitating(dialect) as caller:
        video_id = caller.finished()
        headers = {"Content-Type": "application/json"}

        actual, _ = caller.call(
            "POST", f"/videos/{video_id}/remix", '{"prompt": "at night"}', headers
        )

    assert actual == status


@pytest.mark.parametrize(
    ("dialect", "status", "start"),
    [
        ("openai", 200, b"RIFF"),
        ("litellm", 200, b"\x00\x00\x00"),
        ("sglang", 404, b""),
        ("fastvideo", 400, b""),
    ],
)
def test_thumbnail_is_what_the_server_makes_of_it(dialect: str, status: int, start: bytes) -> None:
    """A picture, the video all the same, or an error."""
    with imitating(dialect) as caller:
        video_id = caller.finished()

        actual, content = caller.call("GET", f"/videos/{video_id}/content?variant=thumbnail")

    assert actual == status
    assert status != 200 or content.startswith(start)


def test_size_is_rewritten_when_the_server_knows_better() -> None:
    """Bifrost replaces what it does not know, and does not say so."""
    with imitating("bifrost") as caller:
        _, odd = caller.create(size="640x480")
        _, known = caller.create(size="1280x720")

    assert (odd["size"], known["size"]) == ("720x1280", "1280x720")


@pytest.mark.parametrize(("dialect", "statuses"), [("bifrost", (200, 400)), ("sglang", (400, 200))])
def test_reference_is_a_text_or_an_object_when_the_server_reads_that(
    dialect: str, statuses: tuple[int, int]
) -> None:
    """Bifrost reads an address, the published protocol an object that holds one."""
    address = "https://example.test/a.png"

    with imitating(dialect) as caller:
        as_text, _ = caller.as_json({"prompt": "a cat", "input_reference": address})
        as_object, _ = caller.as_json(
            {"prompt": "a cat", "input_reference": {"image_url": address}}
        )

    assert statuses == (as_text, as_object)


def test_ids_differ_between_calls_when_the_server_is_a_litellm_proxy() -> None:
    """The id of the create keeps working, whatever the others say."""
    with imitating("litellm") as caller:
        _, created = caller.create()
        status, retrieved = caller.call("GET", f"/videos/{quote(created['id'], safe='')}")

        elsewhere, _ = caller.call("GET", f"/videos/{quote(retrieved['id'], safe='')}")

    assert (status, elsewhere) == (200, 500)
    assert created["id"] != retrieved["id"]


def test_third_job_is_refused_when_the_server_is_azure() -> None:
    """Two at a time; the key may come in a header of its own."""
    with imitating("azure", api_key="sk-right") as caller:
        address = caller.provider.base_url
        fields, headers = '{"prompt": "a"}', {"api-key": "sk-right"}
        headers["Content-Type"] = "application/json"

        statuses = [caller.call("POST", "/videos", fields, headers)[0] for _ in range(3)]

    assert address.endswith("/openai/v1")
    assert statuses == [200, 200, 429]


def test_restart_forgets_when_the_server_keeps_jobs_in_memory(tmp_path: Path) -> None:
    """A folder only keeps the books."""
    with imitating("sglang", data=tmp_path) as caller:
        _, video = caller.create()
    with imitating("sglang", data=tmp_path) as caller:
        status, _ = caller.call("GET", f"/videos/{video['id']}")
        books = report(caller.provider.sandbox)

    assert status == 404
    assert books["accepted"]["total"] == 1


def test_content_is_an_avi_when_asked_for() -> None:
    """As TensorRT-LLM may answer."""
    with imitating("trtllm", container="avi") as caller:
        _, content = caller.call("GET", f"/videos/{caller.finished()}/content")

    assert content[:4] == b"RIFF"
    assert content[8:12] == b"AVI "


def test_key_is_honoured_when_the_server_is_an_orchestrator() -> None:
    """Ourselves upstream: the same key never pays twice."""
    with imitating("orchestrator") as caller:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "k1"}

        ids = {
            caller.call("POST", "/videos", '{"prompt": "a"}', headers)[1]["id"] for _ in range(2)
        }

    assert len(ids) == 1
