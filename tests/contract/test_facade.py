"""The OpenAI-compatible facade: what it takes, what it shows, and how it refuses."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from flask import Flask
from pydantic import BaseModel, ConfigDict

from api import create_app
from orchestrator import endings
from orchestrator.catalog import single_provider_catalog
from orchestrator.context import Context
from orchestrator.ids import new_video_id
from orchestrator.records import Caller
from tests.api_client import ApiClient, client
from tests.contract.facade_stage import IMAGE, ME, refused, shown
from tests.core import row, sql, submit
from tests.factories import MOVIE, complete, fail, make_context, make_image, make_settings, start


class TypedError(BaseModel):
    """The error of a failed video, for clients that read into structures."""

    model_config = ConfigDict(strict=True, extra="forbid")
    code: str
    message: str


class TypedVideo(BaseModel):
    """A video as new-api, Bifrost and LiteLLM declare it: nothing missing, nothing converted."""

    model_config = ConfigDict(strict=True, extra="forbid")
    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: TypedError | None


def progressed(ctx: Context, video_id: str) -> None:
    """Let a video be on its way."""
    start(ctx, video_id)
    sql(ctx, "update videos set progress = 40 where id = :id", id=video_id)


def cancelled(ctx: Context, video_id: str) -> None:
    """Let a video be cancelled on its way."""
    progressed(ctx, video_id)
    endings.cancel(ctx, Caller(ME), video_id)


def nothing(ctx: Context, video_id: str) -> None:
    """Leave a video as it is."""


@pytest.mark.parametrize(
    ("become", "status", "progress", "code"),
    [
        (nothing, "queued", 0, None),
        (progressed, "in_progress", 40, None),
        (complete, "completed", 100, None),
        (fail, "failed", 0, "provider_rejected"),
        (cancelled, "failed", 40, "cancelled"),
    ],
)
def test_video_has_every_field_of_its_type_when_shown(
    api: ApiClient,
    ctx: Context,
    become: Callable[[Context, str], Any],
    status: str,
    progress: int,
    code: str | None,
) -> None:
    """In every state; the error is there exactly when it failed, which is all that n8n looks at."""
    video = submit(ctx, ME)
    become(ctx, video.id)

    one = api.get(f"/v1/videos/{video.id}")
    (listed,) = shown(api.get("/v1/videos"))["data"]

    typed = TypedVideo.model_validate(shown(one))
    assert listed == one.json
    assert (status, progress) == (typed.status, typed.progress)
    assert code == (typed.error.code if typed.error else None)
    assert (status == "completed") == (typed.completed_at is not None)
    assert abs(typed.created_at - time.time()) < 60
    assert 5000 <= int(one.headers["openai-poll-after-ms"]) <= 15_000


def test_failures_without_a_reason_have_texts_when_shown(api: ApiClient, ctx: Context) -> None:
    """Clients read code and message into texts that may not be null."""
    video = submit(ctx, ME)
    fail(ctx, video.id)
    sql(ctx, "update videos set error_code = null, error_message = null")
    ctx.cache.clear_videos()

    error = TypedVideo.model_validate(shown(api.get(f"/v1/videos/{video.id}"))).error

    assert error is not None
    assert error.code
    assert error.message


def test_hint_grows_when_a_video_gets_older(api: ApiClient, ctx: Context) -> None:
    """From 5 s to 15 s."""
    video = submit(ctx, ME)
    sql(ctx, "update videos set created_at = created_at - interval '1 hour'")
    ctx.cache.clear_videos()

    response = api.get(f"/v1/videos/{video.id}")

    assert "15000" == response.headers["openai-poll-after-ms"]


@pytest.mark.parametrize("seconds", ["8", 8])
@pytest.mark.parametrize("encoding", ["json", "form"])
def test_create_takes_both_encodings_when_sent(
    api: ApiClient, seconds: str | int, encoding: str
) -> None:
    """With fields that nobody knows, and numbers as numbers or texts."""
    body = {"prompt": "a kite", "seconds": seconds, "size": "1280x720", "n": 2, "user": "u"}

    response = (
        api.post("/v1/videos", json=body)
        if encoding == "json"
        else api.post("/v1/videos", data=body, content_type="multipart/form-data")
    )

    video = TypedVideo.model_validate(shown(response))
    assert ("sora-2", "8", "1280x720") == (video.model, video.seconds, video.size)


def test_create_takes_defaults_when_fields_are_empty(api: ApiClient) -> None:
    """Some clients send what their user left empty."""
    fields = ("model", "seconds", "size", "quality", "input_reference")
    body = {"prompt": "a kite", **dict.fromkeys(fields, "")}

    video = shown(api.post("/v1/videos", data=body, content_type="multipart/form-data"))

    assert ("sora-2", "4", "720x1280") == (video["model"], video["seconds"], video["size"])


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"prompt": "a kite", "input_reference": {"image_url": IMAGE}}},
        {
            "data": {"prompt": "a kite", "input_reference[image_url]": IMAGE},
            "content_type": "multipart/form-data",
        },
        {
            "data": {"prompt": "a kite", "input_reference": f'{{"image_url": "{IMAGE}"}}'},
            "content_type": "multipart/form-data",
        },
    ],
)
def test_create_keeps_the_image_when_it_comes_as_an_object(
    api: ApiClient, ctx: Context, sent: dict[str, Any]
) -> None:
    """In JSON, or in the fields of a form."""
    video = shown(api.post("/v1/videos", **sent))

    assert ("image/png", len(make_image())) == (
        row(ctx, video["id"]).input_type,
        row(ctx, video["id"]).input_bytes,
    )


def test_create_is_the_same_request_when_the_encoding_differs(api: ApiClient) -> None:
    """A key stands for what was asked, not for how."""
    key = {"Idempotency-Key": "k-1"}
    file = (io.BytesIO(make_image()), "kite.png", "image/png")

    by_json, by_form = (
        api.post(
            "/v1/videos",
            json={"prompt": "a kite", "seconds": 4, "input_reference": {"image_url": IMAGE}},
            headers=key,
        ),
        api.post(
            "/v1/videos",
            data={"prompt": "a kite", "input_reference": file},
            content_type="multipart/form-data",
            headers=key,
        ),
    )

    assert shown(by_json) == shown(by_form)
    assert "true" == by_form.headers["Idempotent-Replayed"]


def test_large_images_are_taken_when_they_come_as_json(api: ApiClient) -> None:
    """Beyond what other JSON may have: the protocol puts images into it."""
    image = make_image() + bytes(2 * 1024 * 1024)
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"

    shown(api.post("/v1/videos", json={"prompt": "x", "input_reference": {"image_url": url}}))


@pytest.mark.parametrize(
    ("reference", "code", "param"),
    [
        ({"image_url": "https://example.com/a.png"}, "unsupported", "input_reference.image_url"),
        ({"image_url": "http://127.0.0.1/a.png"}, "unsupported", "input_reference.image_url"),
        ({"file_id": "file-1"}, "unsupported", "input_reference.file_id"),
        ({"image_url": "ftp://example.com"}, "invalid_value", "input_reference.image_url"),
        ({"image_url": "data:image/png;base64,AAAA"}, "invalid_value", "input_reference"),
        ({}, "invalid_value", "input_reference"),
        ("https://example.com/a.png", "invalid_value", "input_reference"),
        (7, "invalid_value", "input_reference"),
    ],
)
def test_create_refuses_when_the_image_cannot_be_one(
    api: ApiClient, reference: Any, code: str, param: str
) -> None:
    """Nothing is ever fetched from elsewhere."""
    response = api.post("/v1/videos", json={"prompt": "x", "input_reference": reference})

    error = refused(response, 400)
    assert (code, param) == (error["code"], error["param"])


@pytest.mark.parametrize(
    "data",
    [
        {"prompt": ["x", "y"]},
        {"prompt": "x", "input_reference[image_url]": IMAGE, "input_reference": "y"},
        {"prompt": "x", "input_reference": "y", "input_reference[image_url]": IMAGE},
    ],
)
def test_create_refuses_when_a_field_comes_twice(api: ApiClient, data: dict[str, Any]) -> None:
    """It is not for us to choose."""
    response = api.post("/v1/videos", data=data, content_type="multipart/form-data")

    assert "more than once" in refused(response, 400)["message"]


def test_create_refuses_when_an_image_comes_twice(api: ApiClient) -> None:
    """As two files, or as a file and an object."""
    for more in ({"input_reference[image_url]": IMAGE}, {}):
        files = [(io.BytesIO(make_image()), "a.png") for _ in range(1 if more else 2)]
        response = api.post(
            "/v1/videos",
            data={"prompt": "x", "input_reference": files, **more},
            content_type="multipart/form-data",
        )
        assert "more than once" in refused(response, 400)["message"]


@pytest.mark.parametrize(
    ("model", "seconds", "size"),
    [
        ("sora-2", "16", "1280x720"),
        ("sora-2-pro", "20", "1920x1080"),
        ("sora-2-pro", "4", "1080x1920"),
    ],
)
def test_what_the_guide_allows_is_taken_when_the_sdk_does_not_know_it(
    make_app: Callable[..., Flask], model: str, seconds: str, size: str
) -> None:
    """The vendor's own command line asks for lengths and sizes that the specification lacks."""
    catalog = single_provider_catalog(base_url="http://127.0.0.1:1/v1", profile="openai")
    body = {"prompt": "a kite", "model": model, "seconds": seconds, "size": size}

    video = shown(client(make_app(catalog=catalog)).post("/v1/videos", json=body))

    assert (model, seconds, size) == (video["model"], video["seconds"], video["size"])


@pytest.mark.parametrize("path", ["/v1/videos/edits", "/v1/videos/extensions"])
def test_what_the_provider_lacks_is_unsupported_when_asked_for(
    make_app: Callable[..., Flask], path: str
) -> None:
    """Before anybody looks for the source."""
    catalog = single_provider_catalog(base_url="http://127.0.0.1:1/v1", profile="litellm")
    body = {"prompt": "more", "seconds": "4", "video": {"id": new_video_id()}}

    response = client(make_app(catalog=catalog)).post(path, json=body)

    assert "unsupported" == refused(response, 400)["code"]


def test_uploaded_sources_are_unsupported_when_sent(api: ApiClient) -> None:
    """The SDK can send a file only; the answer says what to do instead."""
    for path in ("/v1/videos/edits", "/v1/videos/extensions"):
        response = api.post(
            path,
            data={"prompt": "x", "seconds": "4", "video": (io.BytesIO(MOVIE), "kite.mp4")},
            content_type="multipart/form-data",
        )
        error = refused(response, 400)
        assert ("unsupported", "video") == (error["code"], error["param"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/videos/characters"),
        ("GET", "/v1/videos/characters"),
        ("GET", "/v1/videos/characters/char_1"),
    ],
)
def test_characters_are_unsupported_when_asked_for(api: ApiClient, method: str, path: str) -> None:
    """Always."""
    assert "unsupported" == refused(api.open(path, method=method), 400)["code"]


def test_replay_is_a_failed_video_when_it_was_deleted(api: ApiClient) -> None:
    """Clients know no such status."""
    key = {"Idempotency-Key": "k-1"}
    made = shown(api.post("/v1/videos", json={"prompt": "x"}, headers=key))
    assert {"id": made["id"], "object": "video.deleted", "deleted": True} == shown(
        api.delete(f"/v1/videos/{made['id']}")
    )

    again = TypedVideo.model_validate(
        shown(api.post("/v1/videos", json={"prompt": "x"}, headers=key))
    )

    assert (made["id"], "failed") == (again.id, again.status)
    assert again.error is not None
    assert "deleted" == again.error.code


def test_refusal_says_when_to_come_back_when_the_quota_is_spent(api: ApiClient) -> None:
    """And that the SDK need not try again by itself."""
    api.put(f"/api/users/{ME}/quota", json={"videos_limit": 0}, headers={"X-User-Id": "admin"})

    response = api.post("/v1/videos", json={"prompt": "x"})

    error = refused(response, 429)
    assert ("quota_exceeded", "insufficient_quota") == (error["code"], error["type"])
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert "false" == response.headers["x-should-retry"]


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Every method and address of the facade, with ids that nothing has."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/v1/"):
            path = rule.rule.replace("<path:model>", "none")
            path = path.replace("<video_id>", new_video_id()).replace("<character_id>", "none")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, path


def test_every_route_refuses_in_the_sdk_s_shape_when_nobody_is_known(
    make_app: Callable[..., Flask],
) -> None:
    """No key, or one that does not count."""
    app = make_app(auth="keys")
    found = list(routes(app))

    for method, path in found:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            response = client(app).open(path, method=method, headers=headers)
            assert "authentication_error" == refused(response, 401)["type"]
    assert len(found) >= 11


def test_every_route_refuses_in_the_sdk_s_shape_when_asked_for_nonsense(
    app: Flask, api: ApiClient
) -> None:
    """A body that is none, an id that nothing has, a method or an address that is none."""
    for method, path in routes(app):
        if method == "GET" and path in {"/v1/videos", "/v1/models"}:
            continue
        response = api.open(path, method=method, data=b"{", content_type="application/json")
        status = 404 if method in {"GET", "DELETE"} else 400
        refused(response, 400 if "characters" in path else status)
        assert "false" == response.headers["x-should-retry"]
    refused(api.patch("/v1/videos"), 405)
    refused(api.get("/v1/nothing"), 404)
    refused(api.get("/v1/videos/"), 404)
    refused(api.post("/v1/videos", data="x", content_type="text/plain"), 415)
    refused(api.post("/v1/videos", data=b" " * (22 << 20), content_type="application/json"), 413)


def test_refusal_is_retried_by_the_sdk_when_the_database_is_away(tmp_path: Path) -> None:
    """Nothing has happened then, and soon it may."""
    ctx = make_context(
        make_settings("postgresql://127.0.0.1:1/none", "redis://127.0.0.1:1/0", tmp_path)
    )
    response = client(create_app(ctx)).post("/v1/videos", json={"prompt": "x"})
    ctx.close()

    assert "dependency_down" == refused(response, 503)["code"]
    assert "2" == response.headers["Retry-After"]
    assert "x-should-retry" not in response.headers


def test_models_are_what_the_catalog_has_when_listed(api: ApiClient) -> None:
    """In the order of the catalog."""
    listed = shown(api.get("/v1/models"))
    one = shown(api.get("/v1/models/sora-2"))

    assert ["sora-2", "sora-2-pro"] == [model["id"] for model in listed["data"]]
    assert one == listed["data"][0]
    assert "model_not_found" == refused(api.get("/v1/models/some/thing"), 404)["code"]


def test_videos_of_others_are_not_there_when_asked_for(api: ApiClient, ctx: Context) -> None:
    """Not to look at, not to fetch, not to delete."""
    foreign = submit(ctx, "bob")
    complete(ctx, foreign.id)

    for method, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        refused(api.open(f"/v1/videos/{foreign.id}{tail}", method=method), 404)
    assert [] == shown(api.get("/v1/videos"))["data"]
