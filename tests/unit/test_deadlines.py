"""What takes too long, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.deadlines import SLACK_SECONDS, Deadlines
from tests.virtual_time import now, run

Ended = list[tuple[str, float]]


def into(ended: Ended, name: str) -> Callable[[], None]:
    """Notes that this one has been ended, and when."""
    return lambda: ended.append((name, now()))


def test_each_is_ended_when_its_time_has_come() -> None:
    """Whichever was set first, and once."""
    ended: Ended = []

    async def wait() -> None:
        deadlines = Deadlines()
        for name, when in (("late", 30.0), ("early", 10.0), ("middle", 20.0)):
            deadlines.set(name, when, into(ended, name))
        await asyncio.sleep(100)

    run(wait())

    assert [("early", 10), ("middle", 20), ("late", 30)] == ended


def test_thousands_are_ended_in_few_looks() -> None:
    """One after the other within a second: each at most a tenth of it late."""
    ended: Ended = []

    async def wait() -> None:
        deadlines = Deadlines()
        for n in range(1000):
            deadlines.set(n, 10 + n / 1000, into(ended, str(n)))
        await asyncio.sleep(100)

    run(wait())

    looks = {when for _, when in ended}
    assert 1000 == len(ended)
    assert len(looks) <= 12
    assert all(0 <= when - (10 + int(name) / 1000) <= SLACK_SECONDS + 1e-6 for name, when in ended)


def test_nothing_is_ended_when_it_was_cleared() -> None:
    """Others keep their times, and a name that is not there can be cleared."""
    ended: Ended = []

    async def wait() -> None:
        deadlines = Deadlines()
        for name in ("one", "other"):
            deadlines.set(name, 10.0, into(ended, name))
        deadlines.clear("one")
        deadlines.clear("nobody")
        await asyncio.sleep(100)

    run(wait())

    assert [("other", 10)] == ended


def test_time_counts_when_it_was_set_last() -> None:
    """Later than before, or earlier; also from what is called when another one's has come."""
    ended: Ended = []

    async def wait() -> None:
        deadlines = Deadlines()

        def again() -> None:
            deadlines.set("next", now() + 5, into(ended, "next"))

        for name, times in (("longer", (10.0, 20.0)), ("shorter", (30.0, 15.0))):
            for when in times:
                deadlines.set(name, when, into(ended, name))
        deadlines.set("again", 12.0, again)
        await asyncio.sleep(100)

    run(wait())

    assert [("shorter", 15), ("next", 17), ("longer", 20)] == ended
