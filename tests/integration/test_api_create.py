"""POST /api/videos: what is taken, and how the rest is refused."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from orchestrator.context import Context
from orchestrator.rings import Ring
from tests.api_client import ApiClient, make_video
from tests.factories import RingRecorder, make_image


def test_create_answers_202_with_the_video_when_the_request_is_good(api: ApiClient) -> None:
    """The body is the video, and Location leads to it."""
    response = api.post(
        "/api/videos", json={"prompt": "a red kite", "model": "sora-2", "seconds": "5"}
    )

    assert 202 == response.status_code
    body = response.json
    assert body is not None
    assert f"/api/videos/{body['id']}" == response.headers["Location"]
    assert ("queued", "5", "720x1280", 0.5) == (
        body["status"],
        body["seconds"],
        body["size"],
        body["cost_estimated"],
    )


def test_create_rings_the_worker_when_the_video_may_start(api: ApiClient, ctx: Context) -> None:
    """A provider without caps and a backlog gets its video at once."""
    video = make_video(api)

    assert isinstance(ctx.broker, RingRecorder)
    assert [Ring("create", (video["id"],), "create")] == ctx.broker.rings


def test_create_keeps_every_field_when_all_are_given(api: ApiClient) -> None:
    """What was asked for is what the video says."""
    wish = {
        "prompt": "ein Drachen 🪁",
        "model": "sora-2-pro",
        "seconds": 8,
        "size": "1280x720",
        "quality": "high",
        "metadata": {"order": 7, "nested": {"tags": ["a", None]}},
        "priority": -3,
        "run_at": "2026-01-31T12:00:00+02:00",
    }

    video = make_video(api, **wish)

    expected = wish | {"seconds": "8", "run_at": "2026-01-31T10:00:00.000Z"}
    assert expected == {name: video[name] for name in wish}


def test_create_takes_a_form_when_it_says_the_same(api: ApiClient) -> None:
    """multipart/form-data has the same fields and a file for the image."""
    response = api.post(
        "/api/videos",
        data={
            "prompt": "a red kite",
            "seconds": "4",
            "metadata": '{"a": 1}',
            "priority": "5",
            "input_reference": (io.BytesIO(make_image()), "kite.png"),
        },
    )

    assert 202 == response.status_code
    assert response.json is not None
    assert ({"a": 1}, 5) == (response.json["metadata"], response.json["priority"])


def test_create_keeps_the_image_when_json_brings_it(api: ApiClient, ctx: Context) -> None:
    """A data URL ends up in storage, not in a message."""
    data = base64.b64encode(make_image()).decode()

    make_video(api, input_reference={"image_url": f"data:image/png;base64,{data}"})

    assert 1 == len(list(ctx.storage.list("inputs", limit=10)))


@pytest.mark.parametrize(
    ("body", "param", "code", "says"),
    [
        ({}, "prompt", "missing_field", "required"),
        ({"prompt": ""}, "prompt", "invalid_value", "1 to 32000 characters"),
        ({"prompt": "  \n"}, "prompt", "invalid_value", "1 to 32000 characters"),
        ({"prompt": "x" * 32_001}, "prompt", "invalid_value", "1 to 32000 characters"),
        ({"prompt": "a\0b"}, "prompt", "invalid_value", "NUL"),
        ({"prompt": 5}, "prompt", "invalid_value", "must be a valid string"),
        ({"prompt": None}, "prompt", "invalid_value", "must be a valid string"),
        ({"prompt": ["x"]}, "prompt", "invalid_value", "must be a valid string"),
        ({"prompt": "x", "model": "sora-9"}, "model", "unknown_model", "sora-2, sora-2-pro"),
        ({"prompt": "x", "model": 2}, "model", "invalid_value", "string"),
        ({"prompt": "x", "seconds": 61}, "seconds", "invalid_value", '"1" to "60"'),
        ({"prompt": "x", "seconds": "0"}, "seconds", "invalid_value", '"1" to "60"'),
        ({"prompt": "x", "seconds": "-4"}, "seconds", "invalid_value", '"1" to "60"'),
        ({"prompt": "x", "seconds": "4.0"}, "seconds", "invalid_value", '"1" to "60"'),
        ({"prompt": "x", "seconds": 4.5}, "seconds", "invalid_value", "string"),
        ({"prompt": "x", "seconds": True}, "seconds", "invalid_value", "string"),
        ({"prompt": "x", "size": "huge"}, "size", "invalid_value", "WIDTHxHEIGHT"),
        ({"prompt": "x", "size": "721x1280"}, "size", "invalid_value", "even"),
        ({"prompt": "x", "quality": ""}, "quality", "invalid_value", "1 to 255 characters"),
        ({"prompt": "x", "metadata": []}, "metadata", "invalid_value", "must be"),
        (
            {"prompt": "x", "metadata": {str(n): n for n in range(65)}},
            "metadata",
            "invalid_value",
            "at most 64 entries",
        ),
        ({"prompt": "x", "metadata": {"a": "b" * 17_000}}, "metadata", "invalid_value", "bytes"),
        ({"prompt": "x", "metadata": {"a": "\0"}}, "metadata", "invalid_value", "NUL"),
        ({"prompt": "x", "priority": 101}, "priority", "invalid_value", "-100 to 100"),
        ({"prompt": "x", "priority": -101}, "priority", "invalid_value", "-100 to 100"),
        ({"prompt": "x", "priority": "5"}, "priority", "invalid_value", "integer"),
        ({"prompt": "x", "priority": True}, "priority", "invalid_value", "integer"),
        ({"prompt": "x", "run_at": "tomorrow"}, "run_at", "invalid_value", "a time such as"),
        ({"prompt": "x", "run_at": 1_800_000_000}, "run_at", "invalid_value", "a time such as"),
        ({"prompt": "x", "run_at": "2026-01-31T12:00:00"}, "run_at", "invalid_value", "timezone"),
        (
            {"prompt": "x", "run_at": "9999-12-31T23:59:59-12:00"},
            "run_at",
            "invalid_value",
            "range",
        ),
        (
            {"prompt": "x", "run_at": "2999-01-31T12:00:00Z"},
            "run_at",
            "invalid_value",
            "days ahead",
        ),
        ({"prompt": "x", "sise": "720x1280"}, "sise", "unknown_field", "seconds, size"),
        (
            {"prompt": "x", "input_reference": "data:"},
            "input_reference",
            "invalid_value",
            "must be a JSON object",
        ),
        (
            {"prompt": "x", "input_reference": {"image_url": "data:,", "detail": "high"}},
            "input_reference.detail",
            "unknown_field",
            "it takes image_url",
        ),
        (
            {"prompt": "x", "input_reference": {"image_url": "https://example.com/a.png"}},
            "input_reference.image_url",
            "invalid_value",
            "data:image/png;base64",
        ),
        (
            {"prompt": "x", "input_reference": {"image_url": "data:image/png;base64,@@"}},
            "input_reference.image_url",
            "invalid_value",
            "data:image/png;base64",
        ),
        (
            {"prompt": "x", "input_reference": {"image_url": "data:image/png;base64,aGVsbG8="}},
            "input_reference",
            "invalid_value",
            "image/jpeg, image/png, image/webp",
        ),
    ],
)
def test_create_names_the_field_when_it_breaks_a_rule(
    api: ApiClient, body: Any, param: str, code: str, says: str
) -> None:
    """The answer is 400, names the field and says what it may be."""
    response = api.post("/api/videos", json=body)

    assert 400 == response.status_code
    problem = response.json
    assert problem is not None
    assert (param, code) == (problem["error"]["param"], problem["code"])
    assert says in problem["detail"]


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-1e999"], ids=["nan", "infinity", "overflow"]
)
def test_create_refuses_metadata_when_a_number_cannot_be_kept(api: ApiClient, number: str) -> None:
    """What PostgreSQL could not store is a user's mistake, not an accident of ours."""
    body = f'{{"prompt": "x", "metadata": {{"a": {number}}}}}'

    response = api.post("/api/videos", data=body, content_type="application/json")

    assert 400 == response.status_code
    assert response.json is not None
    assert "metadata" == response.json["error"]["param"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"prompt": "\\ud800"}',
        b"[" * 5000,
        b'{"prompt": "x"} x',
    ],
)
def test_create_answers_invalid_json_when_the_body_is_broken(api: ApiClient, body: bytes) -> None:
    """What cannot be parsed has a code of its own."""
    response = api.post("/api/videos", data=body, content_type="application/json")

    assert 400 == response.status_code
    assert response.json is not None
    assert "invalid_json" == response.json["code"]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"5", b"null"])
def test_create_wants_an_object_when_the_json_is_another_value(api: ApiClient, body: bytes) -> None:
    """JSON that is no object is refused in words."""
    response = api.post("/api/videos", data=body, content_type="application/json")

    assert 400 == response.status_code
    assert response.json is not None
    assert "The body must be a JSON object." == response.json["detail"]


def test_create_lists_every_wrong_field_when_there_are_several(api: ApiClient) -> None:
    """A person can repair all of them at once."""
    response = api.post("/api/videos", json={"prompt": "", "priority": 500, "extra": 1})

    assert response.json is not None
    found = {finding["param"] for finding in response.json["errors"]}
    assert {"prompt", "priority", "extra"} == found


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_create_answers_415_when_the_body_is_of_another_type(api: ApiClient, media: str) -> None:
    """curl without a header sends a form; the answer says which header is missing."""
    response = api.post("/api/videos", data=b'{"prompt": "x"}', content_type=media)

    assert 415 == response.status_code


def test_create_answers_413_when_the_json_is_huge(api: ApiClient) -> None:
    """A body is read no further than its limit."""
    response = api.post(
        "/api/videos", data=b" " * (1024 * 1024 + 1), content_type="application/json"
    )

    assert 413 == response.status_code


def test_create_answers_413_when_a_huge_body_does_not_say_its_length(api: ApiClient) -> None:
    """A chunked body is not cut at the limit and then parsed."""
    response = api.post(
        "/api/videos",
        input_stream=io.BytesIO(b'{"prompt": "x"}' + b" " * 1024 * 1024),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert 413 == response.status_code


def test_create_answers_413_when_the_form_is_huge(api: ApiClient) -> None:
    """A form may be larger than JSON, for its image, but not without end."""
    response = api.post(
        "/api/videos",
        data=b"--x\r\n" + b" " * 22 * 1024 * 1024,
        content_type="multipart/form-data; boundary=x",
    )

    assert 413 == response.status_code


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": "a", "other": "b"}, "other"),
        ({"prompt": "a", "priority": "much"}, "priority"),
        ({"prompt": "a", "metadata": "text"}, "metadata"),
        ({"prompt": "a", "input_reference": "text"}, "input_reference"),
    ],
)
def test_create_names_the_field_when_a_form_breaks_a_rule(
    api: ApiClient, form: Any, param: str
) -> None:
    """Forms obey the rules of JSON."""
    response = api.post("/api/videos", data=form, content_type="multipart/form-data")

    assert 400 == response.status_code
    assert response.json is not None
    assert param == response.json["error"]["param"]


@pytest.mark.parametrize(("path", "status"), [("/api/videos", 400), ("/v1/videos", 200)])
def test_create_survives_when_a_part_of_the_form_has_no_name(
    api: ApiClient, path: str, status: int
) -> None:
    """It is an unknown field: refused here, left out there."""
    parts = ("form-data", "a cat"), ('form-data; name="prompt"', "a kite")
    body = "".join(f"--x\r\nContent-Disposition: {name}\r\n\r\n{text}\r\n" for name, text in parts)

    response = api.post(
        path, data=f"{body}--x--\r\n", content_type="multipart/form-data; boundary=x"
    )

    assert status == response.status_code


@pytest.mark.parametrize("field", ["picture", "prompt"])
def test_create_refuses_a_file_when_the_field_takes_none(api: ApiClient, field: str) -> None:
    """Only input_reference is a file."""
    response = api.post("/api/videos", data={"prompt": "x", field: (io.BytesIO(b"x"), "a.png")})

    assert 400 == response.status_code
    assert response.json is not None
    assert field == response.json["error"]["param"]


def test_create_answers_429_with_the_numbers_when_the_quota_is_spent(api: ApiClient) -> None:
    """The answer says how much was used and when it begins anew."""
    api.put("/api/users/ann/quota", json={"videos_limit": 1}, headers={"X-User-Id": "admin"})
    make_video(api, "ann")

    response = api.post("/api/videos", json={"prompt": "x"}, headers={"X-User-Id": "ann"})

    assert 429 == response.status_code
    problem = response.json
    assert problem is not None
    assert (1, 1, 0) == (problem["used"], problem["limit"], problem["remaining"])
    assert problem["reset_at"].endswith("-01T00:00:00.000Z")
    assert ("quota_exceeded", "insufficient_quota") == (problem["code"], problem["error"]["type"])
    assert "false" == response.headers["x-should-retry"]


def test_create_answers_429_when_the_money_is_spent(api: ApiClient) -> None:
    """A cost limit counts like a number of videos."""
    api.put("/api/users/ann/quota", json={"cost_limit": 0.5}, headers={"X-User-Id": "admin"})

    response = api.post(
        "/api/videos", json={"prompt": "x", "seconds": 6}, headers={"X-User-Id": "ann"}
    )

    assert 429 == response.status_code
    assert response.json is not None
    assert (0, 0.0, 0.5) == tuple(
        response.json[name] for name in ("used", "cost_used", "cost_limit")
    )
