"""LiteLLM is a client of the facade: the real library, and the real proxy in front of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Video

from orchestrator import accounts
from tests.contract.facade_stage import Facade, facade
from tests.core import row, sql
from tests.e2e.litellm_environment import (
    MASTER_KEY,
    Library,
    Refused,
    environment,
    library,
    proxy,
    run,
)
from tests.factories import MOVIE, make_image

SOON = 0.05
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-other-clients.md"
ADDRESS = "http://127.0.0.1:8000/v1"
Body = dict[str, Any]

pytestmark = [pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who calls the functions of LiteLLM; the asynchronous ones have an `a` in front."""

    stage: Facade
    library: Library
    key: str
    prefix: str = ""
    provider: str = "openai"

    def __call__(self, function: str, **arguments: Any) -> Any:
        """What that function of LiteLLM makes of this orchestrator's answer."""
        return self.library.call(
            f"{self.prefix}video_{function}",
            **{
                "custom_llm_provider": self.provider,
                "api_base": self.stage.base_url,
                "api_key": self.key,
                **arguments,
            },
        )

    def settle(self, video: Body) -> Body:
        """Ask for the status until it is one of an end."""
        for _ in range(400):
            video = self("status", video_id=video["id"])
            if video["status"] in {"completed", "failed"}:
                return video
            time.sleep(SOON)
        raise AssertionError(video)

    def finished(self, prompt: str = "a red kite", **fields: Any) -> Body:
        """A video that has come to its end."""
        return self.settle(self("generation", prompt=prompt, model="sora-2", **fields))

    def ours(self) -> list[str]:
        """Our ids of all videos, in order; LiteLLM has its own."""
        return [
            video_id for (video_id,) in sql(self.stage.ctx, "select id from videos order by id")
        ]


@pytest.fixture(scope="module")
def programs(request: pytest.FixtureRequest) -> Path:
    """Where LiteLLM is."""
    return environment(request.config)


@pytest.fixture(scope="module")
def loaded(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The library, which takes its time to load."""
    with library(programs, tmp_path_factory.mktemp("litellm")) as running:
        yield running


@pytest.fixture
def stage(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Facade]:
    """An installation that wants keys."""
    with facade(database_url, redis_url, tmp_path, auth="keys") as running:
        yield running


@pytest.fixture
def key(stage: Facade) -> str:
    """A key for it."""
    return accounts.create_key(stage.ctx, "ann").secret


@pytest.fixture(params=["", "a"], ids=["sync", "async"])
def client(stage: Facade, loaded: Library, key: str, request: pytest.FixtureRequest) -> Client:
    """A caller of the functions of both kinds."""
    return Client(stage, loaded, key, prefix=request.param)


def test_a_video_is_made_when_generated(client: Client) -> None:
    """From the prompt to playable bytes; the length is what LiteLLM bills by."""
    made = client("generation", prompt="a red kite", model="sora-2", seconds="8", size="1280x720")
    video = client.settle(made)
    content = client("content", video_id=video["id"])

    assert ("video", 8.0) == (made["object"], made["usage"]["duration_seconds"])
    assert ("completed", 100, None) == (video["status"], video["progress"], video["error"])
    assert ("sora-2", "8", "1280x720") == (video["model"], video["seconds"], video["size"])
    assert isinstance(video["created_at"], int)
    assert isinstance(video["completed_at"], int)
    assert b"ftyp" == content[4:8]


def test_a_video_starts_from_an_image_when_one_is_sent(client: Client, tmp_path: Path) -> None:
    """As an open file, or as bytes, which it calls input_reference.png whatever they are."""
    image = tmp_path / "kite.webp"
    image.write_bytes(make_image("WEBP"))

    for reference in (image, image.read_bytes()):
        client("generation", prompt="a kite", model="sora-2", input_reference=reference)

    kept = [row(client.stage.ctx, video_id) for video_id in client.ours()]
    assert [("image/webp", len(image.read_bytes()))] * 2 == [
        (video.input_type, video.input_bytes) for video in kept
    ]


def test_a_failed_video_says_why_when_asked_for(client: Client) -> None:
    """As data of the video, which LiteLLM takes for nothing but an object or null."""
    video = client.finished("a kite [moderation]")

    assert ("failed", "moderation_blocked") == (video["status"], video["error"]["code"])
    assert video["error"]["message"]


def test_content_raises_when_it_is_not_ready(client: Client) -> None:
    """It saves whatever comes with 200, so an error must not."""
    failed = client.finished("a kite [fail]")

    with pytest.raises(Refused) as caught:
        client("content", video_id=failed["id"])

    assert 404 == caught.value.status
    assert "not ready" in caught.value.message


def test_a_variant_comes_when_it_is_named(client: Client) -> None:
    """The picture, beside the video."""
    video = client.finished()
    while row(client.stage.ctx, client.ours()[0]).thumbnail_key is None:
        time.sleep(SOON)

    picture = client("content", video_id=video["id"], variant="thumbnail")

    assert (b"RIFF", b"WEBP") == (picture[:4], picture[8:12])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_each_video_once_when_listed(client: Client, order: str) -> None:
    """By ids of LiteLLM's own making, which it takes back as `after`."""
    prompts = [f"kite {number}" for number in range(3)]
    for prompt in prompts:
        client("generation", prompt=prompt, model="sora-2")

    first = client("list", limit=2, order=order)
    second = client("list", limit=2, order=order, after=first["last_id"])

    assert (True, False) == (first["has_more"], second["has_more"])
    listed = [video["prompt"] for page in (first, second) for video in page["data"]]
    assert prompts == (listed if order == "asc" else listed[::-1])
    assert "sora-2" == client("status", video_id=second["last_id"])["model"]


def test_a_remix_names_its_source_when_made(client: Client) -> None:
    """By our id, as LiteLLM leaves that member alone."""
    source = client.finished()

    remix = client.settle(client("remix", video_id=source["id"], prompt="a blue kite"))

    assert ("completed", client.ours()[0]) == (remix["status"], remix["remixed_from_video_id"])


def test_an_edit_and_an_extension_are_made_when_asked_for(client: Client) -> None:
    """LiteLLM names the source in JSON, which the openai SDK cannot."""
    source = client.finished(seconds="4")

    edit = client.settle(client("edit", video_id=source["id"], prompt="in snow"))
    longer = client.settle(
        client("extension", video_id=source["id"], prompt="it lands", seconds="8")
    )

    assert [("completed", "4"), ("completed", "12")] == [
        (video["status"], video["seconds"]) for video in (edit, longer)
    ]


def test_a_character_is_unsupported_when_asked_for(client: Client) -> None:
    """With our own words."""
    with pytest.raises(Refused) as caught:
        client("create_character", name="Kit", video=MOVIE)

    assert 400 == caught.value.status
    assert "Characters are not supported" in caught.value.message


def test_a_refusal_is_explained_when_a_field_is_wrong(client: Client) -> None:
    """By LiteLLM's class for it, with our message inside."""
    with pytest.raises(Refused) as caught:
        client("generation", prompt="a kite", model="sora-2", seconds="99")

    assert ("BadRequestError", 400) == (caught.value.kind, caught.value.status)
    assert "seconds" in caught.value.message


def test_a_refusal_is_explained_when_the_key_is_wrong(client: Client) -> None:
    """Also for a read."""
    for name, arguments in (
        ("generation", {"prompt": "a kite", "model": "sora-2"}),
        ("status", {"video_id": "video_1"}),
    ):
        with pytest.raises(Refused) as caught:
            client(name, api_key="wrong", **arguments)
        assert ("AuthenticationError", 401) == (caught.value.kind, caught.value.status)


def test_a_refusal_is_explained_when_the_quota_is_spent(client: Client) -> None:
    """As the error by which its callers wait or go elsewhere."""
    sql(
        client.stage.ctx,
        "insert into user_quotas (user_id, videos_limit, reset_at) "
        "values ('ann', 0, now() + interval '1 hour')",
    )

    with pytest.raises(Refused) as caught:
        client("generation", prompt="a kite", model="sora-2")

    assert ("RateLimitError", 429) == (caught.value.kind, caught.value.status)


def test_one_video_is_made_when_a_key_is_sent_along(client: Client) -> None:
    """Its own tries again say nothing of themselves, so that only a key tells them."""
    header = {"Idempotency-Key": "order-4711"}

    for _ in range(2):
        client("generation", prompt="a red kite", model="sora-2", extra_headers=header)

    assert 1 == len(client.ours())


def test_a_video_is_made_when_it_takes_us_for_vllm(
    stage: Facade, loaded: Library, key: str
) -> None:
    """That dialect of its has every value as a text."""
    client = Client(stage, loaded, key, provider="hosted_vllm")

    video = client.finished(seconds="2", size="640x360")

    assert ("completed", "2") == (video["status"], video["seconds"])
    assert b"ftyp" == client("content", video_id=video["id"])[4:8]


def test_session_of_the_guide_ends_in_a_file(
    stage: Facade, programs: Path, key: str, tmp_path: Path
) -> None:
    """The block as it stands there, only with another address, a key, and shorter pauses."""
    text = GUIDE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert text.count("```") == 2
    for there, here in {
        ADDRESS: stage.base_url,
        "your key": key,
        "sleep(5)": "sleep(0.05)",
    }.items():
        assert there in block
        block = block.replace(there, here)

    run(programs, tmp_path, block)

    assert b"ftyp" == (tmp_path / "kite.mp4").read_bytes()[4:8]


@pytest.fixture
def behind(stage: Facade, programs: Path, key: str, tmp_path: Path) -> Iterator[OpenAI]:
    """The openai SDK at a proxy that has this orchestrator as its provider."""
    with (
        proxy(programs, tmp_path, stage.base_url, key) as base_url,
        OpenAI(base_url=base_url, api_key=MASTER_KEY, max_retries=0) as sdk,
    ):
        yield sdk


def test_the_sdk_is_content_when_a_proxy_stands_between(behind: OpenAI, stage: Facade) -> None:
    """A video, a failed one, a remix, bytes and a refusal, through a real LiteLLM proxy. Of the
    ids that it gives only those of creates lead back here: it forgets the model of a remix.
    """
    made, blocked = (
        behind.videos.create(model="sora-2", prompt=prompt, seconds="8", size="1280x720")
        for prompt in ("a red kite", "a kite [moderation]")
    )
    video, failed = (ended(behind, asked) for asked in (made, blocked))
    content = behind.videos.download_content(made.id).read()
    remix = behind.videos.remix(made.id, prompt="a blue kite")

    assert ("completed", "8", "1280x720") == (video.status, video.seconds, video.size)
    assert failed.error is not None
    assert ("failed", "moderation_blocked") == (failed.status, failed.error.code)
    assert b"ftyp" == content[4:8]
    ours = [found for (found,) in sql(stage.ctx, "select id from videos order by id")]
    assert (3, ours[0]) == (len(ours), remix.remixed_from_video_id)
    with pytest.raises(openai.BadRequestError, match="seconds"):
        behind.videos.create(model="sora-2", prompt="a kite", seconds="99")  # type: ignore[arg-type]


def ended(sdk: OpenAI, video: Video) -> Video:
    """How that ended."""
    return sdk.videos.poll(video.id, poll_interval_ms=50)
