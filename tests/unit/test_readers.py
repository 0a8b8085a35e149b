"""Whom to look for next, of many who read."""

from __future__ import annotations

import pytest

from orchestrator.errors import RateLimited
from orchestrator.readers import LOOK_SECONDS, Feed, Readers
from orchestrator.records import Caller
from orchestrator.streams import UserPlace
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def readers(clock: Clock) -> Readers:
    """Nobody yet."""
    return Readers(10, clock)


def entered(readers: Readers, count: int) -> list[Feed]:
    """So many users, each of whom has been looked for once."""
    users = [f"user-{n}" for n in range(count)]
    feeds = [readers.enter(Caller(user, "user"), UserPlace(user, 1)) for user in users]
    while set(readers.due(1000)) & set(feeds):
        continue
    return feeds


def test_overdue_readers_come_a_few_at_a_time(readers: Readers, clock: Clock) -> None:
    """All of them do, each once, in the order of their last look."""
    feeds = entered(readers, 120)
    clock.now += LOOK_SECONDS

    turns = [readers.due(1000) for _ in range(3)]

    assert [50, 50, 20] == [len(turn) for turn in turns]
    assert set(feeds) == {feed for turn in turns for feed in turn}


def test_woken_reader_waits_for_no_overdue_one(readers: Readers, clock: Clock) -> None:
    """Neither in its own turn, nor for more than a few of them."""
    feeds = entered(readers, 120)
    clock.now += LOOK_SECONDS
    readers.due(1000)
    readers.heard([("user-7", "video")])

    assert [feeds[7]] == readers.due(1000)


def test_overdue_readers_have_their_turn_when_others_are_woken_all_the_time(
    readers: Readers, clock: Clock
) -> None:
    """A wake may be lost, and then the look in between is all they have."""
    entered(readers, 120)
    clock.now += LOOK_SECONDS
    seen = set()

    for _ in range(8):
        readers.heard([("user-7", "video")])
        seen |= {feed.caller.user_id for feed in readers.due(1000)}

    assert 120 == len(seen)


def test_reader_is_looked_for_when_it_said(readers: Readers, clock: Clock) -> None:
    """Neither before nor twice."""
    feed = entered(readers, 1)[0]
    readers.again(feed, clock.now + 0.01)
    before = readers.due(1000)
    clock.now += 0.01

    assert ([], [feed]) == (before, readers.due(1000))


def test_user_may_come_again_when_one_of_many_streams_is_closed() -> None:
    """The bound is for those that are open."""
    readers = Readers(1, Clock())
    place = UserPlace("ann", 1)
    first = readers.enter(Caller("ann", "user"), place)
    with pytest.raises(RateLimited, match="1 streams open"):
        readers.enter(Caller("ann", "user"), place)

    first.close()

    assert not readers.enter(Caller("ann", "user"), place).over
