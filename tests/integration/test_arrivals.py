"""The records of new videos, made of what was sent, are what the database has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestrator import ledger, quotas
from orchestrator.context import Context
from orchestrator.db import videos
from orchestrator.ledger import Outcome, Written
from orchestrator.lifecycle import EventType
from orchestrator.records import Video
from orchestrator.wishes import InputFile, Wish, completed, prepare
from tests.core import caller, make_request, opened
from tests.factories import make_image

EAST = timezone(timedelta(hours=9))
WRITERS = ("write", "write_plain")


@pytest.fixture
def ctx(database_url: str, tmp_path: Path) -> Iterator[Context]:
    """A context on an empty database, in which ann is known."""
    with opened(database_url, tmp_path) as ctx:
        quotas.change(ctx, "ann", {"videos_limit": 1000})
        yield ctx


@pytest.fixture(params=WRITERS)
def written(
    request: pytest.FixtureRequest, ctx: Context
) -> Callable[[Sequence[Wish]], list[Video]]:
    """Writes wishes in one of both ways; the records that it has made of them."""

    def write(wishes: Sequence[Wish]) -> list[Video]:
        with ctx.database.transaction() as connection:
            if request.param == "write":
                return records(ledger.write(ctx.catalog, connection, wishes))
            return records(ledger.write_plain(ctx.catalog, connection, wishes, patience=1))

    return write


def records(outcomes: Sequence[Outcome]) -> list[Video]:
    """The videos of wishes that were all accepted."""
    return [one.video for one in outcomes if isinstance(one, Written) and one.video is not None]


def read_back(ctx: Context, made: Sequence[Video]) -> list[Video]:
    """The same videos as they are in the database."""
    with ctx.database.statement() as connection:
        found = videos.get_many(connection, [video.id for video in made])
    return [found[video.id] for video in made]


def wish(ctx: Context, prompt: str = "a red kite", **changes: Any) -> Wish:
    """A checked submission."""
    return prepare(ctx, caller(), make_request(prompt, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata": {"zeta": 1, "b": [1.0, 1e3, None], "nested": {"x": True}}},
        {"priority": -7},
        {"run_at": datetime(2100, 1, 1, 9, 30, 0, 123456, tzinfo=EAST)},
        {"run_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"quality": "high", "webhook_url": "https://example.com/hook"},
        {"input_reference": InputFile(make_image())},
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_record_is_what_the_database_has(
    ctx: Context, written: Callable[[Sequence[Wish]], list[Video]], changes: dict[str, Any]
) -> None:
    """Column by column, alone in its lot and beside one that asks for nothing of the kind."""
    made = [*written([wish(ctx, **changes)]), *written([wish(ctx), wish(ctx, **changes)])]

    assert 3 == len(made)
    assert read_back(ctx, made) == made


def test_record_is_what_the_database_has_when_it_has_a_price_of_many_places(
    ctx: Context, written: Callable[[Sequence[Wish]], list[Video]]
) -> None:
    """Rounded as a column of four places rounds."""
    provider = ctx.catalog.route("sora-2")
    asked = {"model": "sora-2", "prompt": "x", "seconds": "4", "size": "720x1280"}
    columns = {**asked, "kind": "create", "fingerprint": "f", "candidates": ["a", "b"]}
    events = [(EventType.CREATED, asked), (EventType.RETRIED, {})]
    costs = [Decimal("0.00005"), Decimal("0.12344999"), Decimal(1)]

    made = written(
        [completed(caller(), provider, columns, cost, events, key=None) for cost in costs]
    )

    assert ["0.0001", "0.1234", "1.0000"] == [str(video.cost_estimated) for video in made]
    assert read_back(ctx, made) == made


def test_documents_stay_their_own_when_python_takes_them_for_equal(
    ctx: Context, written: Callable[[Sequence[Wish]], list[Video]]
) -> None:
    """A 1 is no 1.0 and no true to whoever wrote it."""
    documents: list[dict[str, Any]] = [{"n": 1}, {"n": True}, {"n": 1.0}, {}]

    made = written([wish(ctx, metadata=document) for document in documents])

    assert [repr(document) for document in documents] == [repr(video.metadata) for video in made]
    assert repr([video.metadata for video in read_back(ctx, made)]) == repr(
        [video.metadata for video in made]
    )
