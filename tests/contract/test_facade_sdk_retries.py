"""What the openai SDK does by itself when answers do not come, and that nothing is made twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.contract.facade_stage import Facade, Network, facade
from tests.core import row, sql

TIMEOUT = 2.0


@pytest.fixture
def network() -> Network:
    """What lies between the SDK and us."""
    return Network()


@pytest.fixture
def stage(network: Network, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Facade]:
    """An installation behind that network."""
    with facade(database_url, redis_url, tmp_path, middleware=network.around) as running:
        try:
            yield running
        finally:
            network.over.set()


def tries(network: Network) -> list[str]:
    """How the SDK counted what it sent."""
    return [post["HTTP_X_STAINLESS_RETRY_COUNT"] for post in network.posts]


@pytest.mark.parametrize("trouble", ["answer", "cut answer"])
def test_one_video_is_made_when_the_answers_are_lost(
    client: OpenAI, stage: Facade, network: Network, trouble: str
) -> None:
    """The SDK tries again, without a key: that is still one video, paid once."""
    network.troubles = [trouble, trouble]

    made = client.videos.create(prompt="a red kite")

    assert ["0", "1", "2"] == tries(network)
    assert [made.id] == [video.id for video in client.videos.list()]
    assert 0b111 == row(stage.ctx, made.id).sdk_tries


def test_one_video_is_made_when_an_answer_is_late(client: OpenAI, network: Network) -> None:
    """The SDK has given its first request up, which has been acted on nevertheless."""
    network.troubles = ["late answer"]

    made = client.with_options(timeout=TIMEOUT).videos.create(prompt="a red kite")

    assert ["0", "1"] == tries(network)[:2]
    assert [made.id] == [video.id for video in client.videos.list()]


@pytest.mark.parametrize("trouble", ["request", "cut request"])
def test_one_video_is_made_when_the_request_was_lost(
    client: OpenAI, network: Network, trouble: str
) -> None:
    """Then its retry is the first that we hear of."""
    network.troubles = [trouble]

    made = client.videos.create(prompt="a red kite")

    assert ["0", "1"] == tries(network)
    assert [made.id] == [video.id for video in client.videos.list()]


def test_one_remix_is_made_when_its_answer_is_lost(client: OpenAI, network: Network) -> None:
    """As with a create."""
    source = client.videos.create_and_poll(prompt="a red kite", poll_interval_ms=50)
    network.troubles = ["cut answer"]

    made = client.videos.remix(source.id, prompt="a blue kite")

    assert [made.id, source.id] == [video.id for video in client.videos.list()]


def test_one_video_is_made_when_answers_are_lost_in_asyncio(
    stage: Facade, network: Network
) -> None:
    """The other half of the SDK does the same."""
    network.troubles = ["cut answer", "answer"]

    async def create() -> str:
        async with AsyncOpenAI(base_url=stage.base_url, api_key="anything") as sdk:
            return (await sdk.videos.create(prompt="a red kite")).id

    made = asyncio.run(create())

    assert [(made,)] == [tuple(found) for found in sql(stage.ctx, "select id from videos")]


def test_one_video_is_there_when_the_sdk_gave_up(client: OpenAI, network: Network) -> None:
    """It raises; whoever looks at the list finds what was made of its three requests."""
    network.troubles = ["late answer", "late answer", "late answer"]

    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=TIMEOUT).videos.create(prompt="a red kite")

    assert 1 == len(list(client.videos.list()))


def test_a_refusal_is_heard_once_when_trying_again_cannot_help(
    client: OpenAI, stage: Facade, network: Network
) -> None:
    """The SDK would repeat 409 and 429; the answer says that it need not."""
    sql(
        stage.ctx,
        "insert into user_quotas (user_id, videos_limit, reset_at) "
        "values ('test_user', 0, now() + interval '1 hour')",
    )

    with pytest.raises(openai.RateLimitError) as caught:
        client.videos.create(prompt="a red kite")

    assert "quota_exceeded" == caught.value.code
    assert ["0"] == tries(network)


def test_a_poll_goes_on_when_answers_are_lost(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Reads are tried again without any harm, also across a restart."""
    with (
        facade(database_url, redis_url, tmp_path) as stage,
        OpenAI(base_url=stage.base_url, api_key="anything", max_retries=5) as client,
    ):
        made = client.videos.create(prompt="a red kite")
        stage.stop()
        with pytest.raises(openai.APIConnectionError):
            client.with_options(max_retries=0).videos.retrieve(made.id)
        stage.start()

        video = client.videos.poll(made.id, poll_interval_ms=50)

        assert "completed" == video.status
