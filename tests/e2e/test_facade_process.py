"""Clients of the facade at the real web server, whose parser of HTTP is not the one of tests."""

from __future__ import annotations

import pytest

from tests.factories import make_image
from tests.web_process import Starter
from tests.wire import Answer, Part, exchange, go_form, node_form

BOUNDARY = "0b1c6e2f6f5f4c0e9d7b8a39405172635e4d3c2b1a09f8e7d6c5b4a39281"
TYPE = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")


@pytest.fixture
def address(start: Starter) -> str:
    """Where `python -m api` serves."""
    return f"http://127.0.0.1:{start().port}"


def wanted(image: bytes) -> list[Part]:
    """A video that starts from this image."""
    return [
        Part("model", b"sora-2"),
        Part("prompt", "ein roter Drachen über der Düne".encode()),
        Part("seconds", b"2"),
        Part("input_reference", image, "kite.png", "image/png"),
    ]


def seen(answer: Answer) -> tuple[int, str]:
    """The status and the prompt of an answer."""
    return answer.status, answer.json["prompt"]


def test_forms_are_taken_however_they_are_sent(address: str) -> None:
    """With a length or in chunks, as new-api forwards what it has not read; at once or after being
    told to go on, as curl sends what is large; small, or larger than a thread is kept for.
    """
    answers = []
    for image in (make_image(), make_image() + bytes(300_000)):
        go, node = go_form(wanted(image), BOUNDARY), node_form(wanted(image), BOUNDARY)
        length = ("Content-Length", str(len(go)))
        pieces = [go[start : start + 5000] for start in range(0, len(go), 5000)]
        chunked = [TYPE, ("Transfer-Encoding", "chunked")]
        answers += [
            exchange(address, "POST", "/v1/videos", [TYPE, length], go),
            exchange(address, "POST", "/v1/videos", chunked, pieces),
            exchange(
                address, "POST", "/v1/videos", [TYPE, ("Content-Length", str(len(node)))], node
            ),
            exchange(address, "POST", "/v1/videos", [TYPE, length, ("Expect", "100-continue")], go),
        ]

    assert [(200, "ein roter Drachen über der Düne")] * 8 == [seen(answer) for answer in answers]


def test_requests_without_a_body_may_speak_of_one(address: str) -> None:
    """Bifrost says of its GETs and DELETEs, too, that they bring JSON."""
    types = [("Content-Type", "application/json")]
    made = exchange(
        address, "POST", "/v1/videos", [*types, ("Content-Length", "17")], b'{"prompt": "red"}'
    ).json

    looked = exchange(address, "GET", f"/v1/videos/{made['id']}", types)
    gone = exchange(address, "DELETE", f"/v1/videos/{made['id']}", types)

    assert made["id"] == looked.json["id"]
    assert {"id": made["id"], "object": "video.deleted", "deleted": True} == gone.json
