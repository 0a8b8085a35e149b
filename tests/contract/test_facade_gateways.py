"""Gateways in Go have this orchestrator behind them: new-api and Bifrost, and what they read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from orchestrator import accounts
from tests.contract.facade_stage import Facade, facade
from tests.core import row
from tests.factories import MOVIE, make_image
from tests.wire import Answer, Part, exchange, go_form

BOUNDARY = "0b1c6e2f6f5f4c0e9d7b8a39405172635e4d3c2b1a09f8e7d6c5b4a39281"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


class Struct(BaseModel):
    """What Go reads JSON into: nothing is converted, null and what is missing are the zero value,
    unknown members are passed over.
    """

    model_config = ConfigDict(strict=True, extra="ignore")


class Failure(Struct):
    """The error of a video, of both gateways."""

    code: str = ""
    message: str = ""


class Task(Struct):
    """A video as new-api declares it."""

    id: str
    status: str
    progress: int = 0
    created_at: int = 0
    completed_at: int | None = None
    expires_at: int | None = None
    model: str = ""
    object: str = ""
    seconds: str | None = None
    size: str | None = None
    remixed_from_video_id: str | None = None
    error: Failure | None = None


class Generation(Struct):
    """A video as Bifrost declares it."""

    id: str
    object: str
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    created_at: int
    completed_at: int | None
    expires_at: int | None
    progress: float | None
    prompt: str
    seconds: str | None
    size: str
    remixed_from_video_id: str | None
    error: Failure | None


class GenerationPage(Struct):
    """A page of Bifrost's list."""

    object: Literal["list"]
    data: list[Generation]
    first_id: str | None
    last_id: str | None
    has_more: bool | None


class Deletion(Struct):
    """Bifrost's answer to a delete."""

    id: str
    object: Literal["video.deleted"]
    deleted: bool


class Refusal(Struct):
    """The member `error` of what Bifrost takes for an error."""

    message: str
    type: str
    code: str | None


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway with a key. `agent` are the headers of its HTTP library."""

    stage: Facade
    key: str
    agent: tuple[tuple[str, str], ...]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """A request, with the type and the length of what it brings."""
        sent = [*self.agent, ("Authorization", f"Bearer {self.key}")]
        sent += [(name.replace("_", "-"), value) for name, value in headers.items()]
        if method in {"POST", "DELETE"}:
            sent.append(("Content-Length", str(len(body))))
        return exchange(self.stage.base_url, method, path, sent, body)

    def settle(self, look: Callable[[], Answer]) -> Answer:
        """Look until it has ended. Bifrost and new-api take nothing but 200 for an answer."""
        for _ in range(400):
            answer = look()
            assert 200 == answer.status
            if answer.json["status"] in {"completed", "failed"}:
                return answer
            time.sleep(0.05)
        raise AssertionError(answer)


@pytest.fixture
def stage(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Facade]:
    """An installation that wants keys."""
    with facade(database_url, redis_url, tmp_path, auth="keys") as running:
        yield running


@pytest.fixture
def new_api(stage: Facade) -> Gateway:
    """new-api with a channel of the kind Sora; net/http."""
    agent = (("User-Agent", "Go-http-client/1.1"), ("Accept-Encoding", "gzip"))
    return Gateway(stage, accounts.create_key(stage.ctx, "ann").secret, agent)


@pytest.fixture
def bifrost(stage: Facade) -> Gateway:
    """Bifrost with us as its provider openai; fasthttp."""
    return Gateway(
        stage, accounts.create_key(stage.ctx, "ann").secret, (("User-Agent", "fasthttp"),)
    )


def form(**fields: str) -> list[Part]:
    """The texts of a form."""
    return [Part(name, value.encode()) for name, value in fields.items()]


def made_by_new_api(new_api: Gateway, prompt: str = "a red kite") -> Task:
    """A video, as it forwards a form: the model in front, the others in any order."""
    parts = form(model="sora-2", size="1280x720", seconds="2", prompt=prompt)
    answer = new_api.send("POST", "/v1/videos", go_form(parts, BOUNDARY), Content_Type=FORM)
    assert 200 == answer.status
    return Task.model_validate_json(answer.body)


def ended_for_new_api(new_api: Gateway, task: Task) -> Task:
    """How that ended, by its loop of polls."""
    answer = new_api.settle(lambda: new_api.send("GET", f"/v1/videos/{task.id}"))
    return Task.model_validate_json(answer.body)


def test_new_api_makes_a_video_when_it_forwards_a_form(new_api: Gateway) -> None:
    """Its id is what it polls with, and the rest is billed by."""
    made = made_by_new_api(new_api)

    ended = ended_for_new_api(new_api, made)

    assert made.id
    assert ("completed", 100, "2", "1280x720") == (
        ended.status,
        ended.progress,
        ended.seconds,
        ended.size,
    )


def test_new_api_makes_a_video_when_it_forwards_an_image(new_api: Gateway) -> None:
    """With a type that it has sniffed itself."""
    image = make_image("WEBP")
    parts = form(model="sora-2", prompt="a kite", seconds="2")
    parts.append(Part("input_reference", image, "blob", "image/webp"))

    answer = new_api.send("POST", "/v1/videos", go_form(parts, BOUNDARY), Content_Type=FORM)

    kept = row(new_api.stage.ctx, answer.json["id"])
    assert ("image/webp", len(image)) == (kept.input_type, kept.input_bytes)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
def test_new_api_makes_a_video_when_it_forwards_json(new_api: Gateway, media_type: str) -> None:
    """With whatever its own client has added for other channels."""
    body = {
        "duration": 2,
        "metadata": {"negative_prompt": "rain"},
        "model": "sora-2",
        "prompt": "a red kite",
        "seconds": "2",
        "size": "1280x720",
    }

    answer = new_api.send("POST", "/v1/videos", json.dumps(body).encode(), Content_Type=media_type)

    assert 200 == answer.status
    assert "2" == Task.model_validate_json(answer.body).seconds


@pytest.mark.parametrize("encoding", ["json", "form"])
def test_new_api_remixes_when_it_puts_the_model_into_the_request(
    new_api: Gateway, encoding: str
) -> None:
    """As it does with every request that it forwards."""
    source = ended_for_new_api(new_api, made_by_new_api(new_api))
    wanted = {"model": "sora-2", "prompt": "a blue kite"}
    body, media_type = (
        (json.dumps(wanted).encode(), "application/json")
        if encoding == "json"
        else (go_form(form(**wanted), BOUNDARY), FORM)
    )

    answer = new_api.send("POST", f"/v1/videos/{source.id}/remix", body, Content_Type=media_type)

    assert 200 == answer.status
    assert source.id == Task.model_validate_json(answer.body).remixed_from_video_id


def test_new_api_tells_the_reason_when_a_video_fails(new_api: Gateway) -> None:
    """It reads the status, then `error.message`."""
    ended = ended_for_new_api(new_api, made_by_new_api(new_api, "a kite [fail]"))

    assert "failed" == ended.status
    assert ended.error is not None
    assert ended.error.code
    assert ended.error.message


def test_new_api_passes_content_on_when_a_player_wants_a_part(new_api: Gateway) -> None:
    """It takes 200 and 206, and copies all headers to its own client."""
    video_id = ended_for_new_api(new_api, made_by_new_api(new_api)).id
    address = f"/v1/videos/{video_id}/content"

    whole = new_api.send("GET", address)
    part = new_api.send("GET", address, Range="bytes=4-7")

    assert (200, "video/mp4", str(len(whole.body))) == (
        whole.status,
        whole.headers["content-type"],
        whole.headers["content-length"],
    )
    assert (206, b"ftyp", f"bytes 4-7/{len(whole.body)}") == (
        part.status,
        part.body,
        part.headers["content-range"],
    )
    assert "content-encoding" not in whole.headers


def made_by_bifrost(bifrost: Gateway, prompt: str = "a red kite") -> Generation:
    """A video: the prompt in front, and always a size."""
    parts = form(prompt=prompt, model="sora-2", seconds="2", size="720x1280")
    answer = bifrost.send("POST", "/v1/videos", go_form(parts, BOUNDARY), Content_Type=FORM)
    assert 200 == answer.status
    return Generation.model_validate_json(answer.body)


def ended_for_bifrost(bifrost: Gateway, video: Generation) -> Generation:
    """How that ended. Its GET says that it brings JSON, and brings nothing."""
    answer = bifrost.settle(
        lambda: bifrost.send("GET", f"/v1/videos/{video.id}", Content_Type="application/json")
    )
    return Generation.model_validate_json(answer.body)


def test_bifrost_makes_a_video_when_it_is_asked_for_one(bifrost: Gateway) -> None:
    """Every member has the type of its struct, at the beginning and at the end."""
    made = made_by_bifrost(bifrost)

    ended = ended_for_bifrost(bifrost, made)

    assert ("video", "completed", 100.0, "2") == (
        ended.object,
        ended.status,
        ended.progress,
        ended.seconds,
    )
    assert ended.completed_at is not None
    assert ended.error is None


@pytest.mark.parametrize(
    ("kind", "filename", "media_type"),
    [
        ("PNG", "input_reference.png", "image/png"),
        ("JPEG", "input_reference.jpg", "image/jpeg"),
        ("WEBP", "input_reference.webp", "image/webp"),
    ],
)
def test_bifrost_makes_a_video_when_it_has_an_image(
    bifrost: Gateway, kind: str, filename: str, media_type: str
) -> None:
    """It knows bytes only, so that name and type are its own guess."""
    image = make_image(kind)
    parts = form(prompt="a kite", model="sora-2", size="720x1280")
    parts.append(Part("input_reference", image, filename, media_type))

    answer = bifrost.send("POST", "/v1/videos", go_form(parts, BOUNDARY), Content_Type=FORM)

    kept = row(bifrost.stage.ctx, answer.json["id"])
    assert (media_type, len(image)) == (kept.input_type, kept.input_bytes)


def test_bifrost_explains_when_its_reference_is_a_video(bifrost: Gateway) -> None:
    """It sends those, too; here a video starts from an image only."""
    parts = form(prompt="a kite", model="sora-2", size="720x1280")
    parts.append(Part("input_reference", MOVIE, "input_reference.mp4", "video/mp4"))

    answer = bifrost.send("POST", "/v1/videos", go_form(parts, BOUNDARY), Content_Type=FORM)

    assert 400 == answer.status
    assert "input_reference" in Refusal.model_validate(answer.json["error"]).message


def test_bifrost_tells_the_reason_when_a_video_fails(bifrost: Gateway) -> None:
    """By an answer with 200: it drops the body of every other one."""
    ended = ended_for_bifrost(bifrost, made_by_bifrost(bifrost, "a kite [moderation]"))

    assert "failed" == ended.status
    assert ended.error is not None
    assert "moderation_blocked" == ended.error.code


def test_bifrost_pages_when_it_lists(bifrost: Gateway) -> None:
    """With `after`, without the provider that it adds to ids."""
    made = [made_by_bifrost(bifrost, f"kite {number}").id for number in range(3)]

    def page(query: str) -> GenerationPage:
        answer = bifrost.send("GET", f"/v1/videos?{query}", Content_Type="application/json")
        return GenerationPage.model_validate_json(answer.body)

    first = page("limit=2&order=asc")
    second = page(f"after={first.last_id}&limit=2&order=asc")

    assert made == [video.id for video in (*first.data, *second.data)]
    assert (True, False) == (first.has_more, second.has_more)


def test_bifrost_downloads_every_variant_when_it_is_done(bifrost: Gateway) -> None:
    """By name; it follows no redirect."""
    video_id = ended_for_bifrost(bifrost, made_by_bifrost(bifrost)).id
    while row(bifrost.stage.ctx, video_id).thumbnail_key is None:
        time.sleep(0.05)
    address = f"/v1/videos/{video_id}/content"

    answers = [bifrost.send("GET", f"{address}{query}") for query in ("", "?variant=thumbnail")]

    assert [(200, "video/mp4"), (200, "image/webp")] == [
        (answer.status, answer.headers["content-type"]) for answer in answers
    ]


def test_bifrost_deletes_when_it_says_that_it_brings_json(bifrost: Gateway) -> None:
    """And brings nothing."""
    made = made_by_bifrost(bifrost)
    path = f"/v1/videos/{made.id}"

    gone = bifrost.send("DELETE", path, Content_Type="application/json")
    missing = bifrost.send("GET", path, Content_Type="application/json")

    assert (made.id, True) == (
        Deletion.model_validate_json(gone.body).id,
        Deletion.model_validate_json(gone.body).deleted,
    )
    assert 404 == missing.status
    assert "not_found" == Refusal.model_validate(missing.json["error"]).code


def test_bifrost_remixes_when_it_is_asked_to(bifrost: Gateway) -> None:
    """With JSON."""
    source = ended_for_bifrost(bifrost, made_by_bifrost(bifrost))

    answer = bifrost.send(
        "POST",
        f"/v1/videos/{source.id}/remix",
        b'{"prompt":"a blue kite"}',
        Content_Type="application/json",
    )

    assert source.id == Generation.model_validate_json(answer.body).remixed_from_video_id
