"""n8n's OpenAI node makes videos here: what it sends, and the few things that it looks at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import accounts, endings
from orchestrator.records import Caller
from tests.contract.facade_stage import Facade, facade
from tests.core import row
from tests.factories import make_image
from tests.wire import Answer, Part, exchange, node_form

BOUNDARY = "--------------------------283104857392016475920184"
ACCEPT = "application/json"
AGENT = [("Accept-Encoding", "gzip, compress, deflate, br"), ("Connection", "close")]
ANN = Caller("ann")


@dataclass(frozen=True, slots=True)
class Node:
    """The node, with the credential of a user; it is told of an address that ends in /v1."""

    stage: Facade
    key: str

    def generate(self, seconds: int = 2, image: Part | None = None, **fields: str) -> Answer:
        """Its first request. `seconds` is a number in its form, and goes as its text."""
        wanted = {"model": "sora-2", "prompt": "a red kite", "seconds": str(seconds)}
        wanted |= {"size": "1280x720", **fields}
        parts = [Part(name, value.encode()) for name, value in wanted.items()]
        body = node_form([*parts, *([image] if image else [])], BOUNDARY)
        headers = [
            ("Accept", ACCEPT),
            ("content-type", f"multipart/form-data; boundary={BOUNDARY}"),
            ("Authorization", f"Bearer {self.key}"),
            ("Content-Length", str(len(body))),
        ]
        return exchange(self.stage.base_url, "POST", "/v1/videos", [*headers, *AGENT], body)

    def get(self, path: str, accept: str = ACCEPT) -> Answer:
        """A request without a body."""
        headers = [("Accept", accept), ("Authorization", f"Bearer {self.key}")]
        return exchange(self.stage.base_url, "GET", path, [*headers, *AGENT])

    def wait(self, video_id: str) -> dict[str, Any]:
        """Look until `error` is anything but nothing, or it is completed. It reads no other status,
        so that a failure without an error would let it wait to its timeout.
        """
        for _ in range(400):
            answer = self.get(f"/v1/videos/{video_id}")
            assert 200 == answer.status
            video: dict[str, Any] = answer.json
            if truthy(video.get("error")) or video["status"] == "completed":
                return video
            time.sleep(0.05)
        raise AssertionError(f"the node waits for ever: {video}")


def truthy(value: Any) -> bool:
    """As JavaScript sees it: an empty object counts."""
    return isinstance(value, (dict, list)) or bool(value)


@pytest.fixture
def node(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Node]:
    """A node of somebody who has a key."""
    with facade(database_url, redis_url, tmp_path, auth="keys") as stage:
        yield Node(stage, accounts.create_key(stage.ctx, "ann").secret)


def test_its_credential_is_good_when_it_is_tried(node: Node) -> None:
    """It lists the models for that, and reads their ids."""
    models = node.get("/v1/models")
    stranger = Node(node.stage, "wrong").get("/v1/models")

    assert (200, 401) == (models.status, stranger.status)
    assert "sora-2" in [model["id"] for model in models.json["data"]]


def test_a_video_is_made_when_it_generates_one(node: Node) -> None:
    """From its form to the bytes, whose type it takes from the header."""
    made = node.generate(seconds=3)
    video = node.wait(made.json["id"])
    content = node.get(f"/v1/videos/{video['id']}/content", accept="*/*")

    assert (200, "completed", "3", "1280x720") == (
        made.status,
        video["status"],
        video["seconds"],
        video["size"],
    )
    assert (200, "video/mp4") == (content.status, content.headers["content-type"])
    assert (b"ftyp", str(len(content.body))) == (
        content.body[4:8],
        content.headers["content-length"],
    )


@pytest.mark.parametrize("filename", ["kite.png", "Drachen über der Düne 🪁.png", 'a"b\\c.png'])
def test_an_image_is_kept_when_it_has_a_reference(node: Node, filename: str) -> None:
    """As a file whose name is whatever the workflow says."""
    image = make_image(size=(16, 16))

    made = node.generate(image=Part("input_reference", image, filename, "image/png"))

    kept = row(node.stage.ctx, made.json["id"])
    assert ("image/png", len(image)) == (kept.input_type, kept.input_bytes)


def test_a_failure_is_told_when_a_video_fails(node: Node) -> None:
    """By `error`, which it takes for the only sign, with a message that it shows."""
    video = node.wait(node.generate(prompt="a kite [moderation]").json["id"])

    assert ("failed", "moderation_blocked") == (video["status"], video["error"]["code"])
    assert video["error"]["message"]


def test_a_failure_is_told_when_a_video_is_cancelled(node: Node) -> None:
    """Else it would wait to its timeout."""
    video_id = node.generate().json["id"]
    endings.cancel(node.stage.ctx, ANN, video_id)

    video = node.wait(video_id)

    assert "cancelled" == video["error"]["code"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"seconds": 99}, "seconds"), ({"size": "big"}, "size"), ({"prompt": ""}, "prompt")],
)
def test_a_message_comes_when_its_fields_are_wrong(
    node: Node, wrong: dict[str, Any], field: str
) -> None:
    """It shows what it finds in `error.message`."""
    answer = node.generate(**wrong)

    assert 400 == answer.status
    assert field in answer.json["error"]["message"]


def test_a_message_comes_when_its_image_has_no_name(node: Node) -> None:
    """Without a name a part is a text to every server of forms, so there is nothing to keep."""
    answer = node.generate(image=Part("input_reference", make_image(), None, "image/png"))

    assert 400 == answer.status
    assert "filename" in answer.json["error"]["message"]
