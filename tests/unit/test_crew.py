"""The crew: calls of one message at once, results as they come, as many threads as it takes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from orchestrator.crew import FEW, MANY, Crew, Stopped
from orchestrator.errors import DependencyDown

WAIT = 10


def flat(lots: Iterable[list[Any]]) -> list[Any]:
    """All that came, whatever the lots."""
    return [pair for lot in lots for pair in lot]


def test_each_brings_every_result_with_its_item() -> None:
    """Nothing is lost, doubled or mixed up."""
    crew = Crew()

    found = flat(crew.each(list(range(200)), lambda n: n * n))

    assert {n: n * n for n in range(200)} == dict(found)
    assert 200 == len(found)


def test_exception_takes_the_place_of_its_result_only() -> None:
    """One that fails spoils nothing for the others."""
    error = ValueError("seven")

    def call(n: int) -> int:
        if n == 7:
            raise error
        return n

    found = dict(flat(Crew().each(list(range(20)), call)))

    assert error is found.pop(7)
    assert {n: n for n in range(20) if n != 7} == found


def test_quick_results_come_before_a_slow_one() -> None:
    """Whoever waits for its provider keeps no neighbour's outcome from being recorded."""
    release = threading.Event()
    lots = Crew().each([0, *range(1, 10)], lambda n: release.wait(WAIT) if n == 0 else n)

    quick = []
    while len(quick) < 9:
        quick += next(lots)
    release.set()

    assert [*range(1, 10)] == sorted(n for n, _ in quick)
    assert [(0, True)] == flat(lots)


def test_threads_grow_until_all_calls_of_a_slow_provider_are_under_way() -> None:
    """Calls that only end together are all begun."""
    together = threading.Barrier(3 * FEW)

    found = flat(Crew().each(list(range(3 * FEW)), lambda _: together.wait(WAIT) >= 0))

    assert [True] * 3 * FEW == [result for _, result in found]
    assert 3 * FEW < MANY


def test_no_thread_is_added_while_calls_are_quick() -> None:
    """However many messages wait for their turn: it is the interpreter that they wait for."""
    crew = Crew(clock=lambda: 0.0)
    threads: set[int] = set()

    def call(n: int) -> int:
        threads.add(threading.get_ident())
        return n

    with ThreadPoolExecutor(20) as pool:
        found = list(
            pool.map(
                lambda items: crew.settle(items, call, lambda numbers: numbers, name="n"),
                [range(25)] * 20,
            )
        )

    assert [25] * 20 == [len(outcomes) for outcomes in found]
    assert len(threads) <= FEW


def test_calls_stop_when_the_process_ends() -> None:
    """What was not begun says so; what was goes on."""
    crew = Crew()

    def call(n: int) -> int:
        crew.stop()
        return n

    found = flat(crew.each([1, 2, 3], call, together=False))

    assert (1, 1) == found[0]
    assert all(isinstance(result, Stopped) for _, result in found[1:])


def test_nothing_more_is_called_when_nobody_listens() -> None:
    """Whoever gives up after an answer spares the provider the rest."""
    called: list[int] = []
    release = threading.Event()

    def call(n: int) -> int:
        called.append(n)
        if n:
            release.wait(WAIT)
        return n

    lots = Crew().each(list(range(100)), call)
    next(lots)
    lots.close()  # type: ignore[attr-defined]
    release.set()

    assert len(called) < 100


def test_settle_has_results_of_several_messages_written_together() -> None:
    """Each hears of its own, whoever wrote them."""
    crew = Crew()
    lots: list[list[int]] = []
    both = threading.Barrier(2)

    def call(n: int) -> int:
        if n % 10 == 0:
            both.wait(WAIT)
        return n

    def write(numbers: Sequence[int]) -> list[int]:
        lots.append(sorted(numbers))
        return [-n for n in numbers]

    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda items: crew.settle(items, call, write, name="n"), ([0, 1], [10]))

    assert [[(0, 0), (1, -1)], [(10, -10)]] == [sorted(outcomes) for outcomes in found]
    assert [0, 1, 10] == sorted(n for lot in lots for n in lot)


def test_settle_writes_neither_exceptions_nor_nothing() -> None:
    """They stand in the answer as they came."""
    error = ValueError("one")

    def call(n: int) -> int | None:
        if n == 1:
            raise error
        return n if n else None

    found = Crew().settle([0, 1, 2], call, lambda numbers: numbers, name="n")

    assert {0: None, 1: error, 2: 2} == dict(found)


def test_settle_calls_no_more_when_nothing_can_be_written() -> None:
    """What would come back could not be recorded: better it were never sent."""
    down = DependencyDown("It is away.")
    written = threading.Event()

    def call(n: int) -> int:
        if n >= FEW:
            written.wait(WAIT)
        return n

    def write(numbers: Sequence[int]) -> list[int]:
        written.set()
        raise down

    found = Crew().settle(list(range(100)), call, write, name="n")
    kinds = Counter(type(outcome) for _, outcome in found)

    assert 100 == len({n for n, _ in found})
    assert {DependencyDown, Stopped} == set(kinds)
    assert kinds[Stopped] > kinds[DependencyDown]


def test_only_one_is_alone() -> None:
    """A name is free again when whoever had it has left."""
    crew = Crew()

    with crew.alone("a") as first, crew.alone("a") as second, crew.alone("b") as other:
        seen = (first, second, other)
    with crew.alone("a") as third:
        pass

    assert (True, False, True, True) == (*seen, third)


def test_calls_have_what_their_caller_has_bound() -> None:
    """So that each of their log lines names the request that is behind the message."""
    request: ContextVar[str] = ContextVar("request", default="")
    crew = Crew()

    def ask(name: str) -> set[str]:
        request.set(name)
        return {found for _, found in flat(crew.each(range(20), lambda _: request.get()))}

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(ask, ["first", "second"]))

    assert [{"first"}, {"second"}] == found


def test_the_last_one_that_was_brought_writes() -> None:
    """Not the first, which may belong to a context that is long gone."""
    crew = Crew()
    crew.settle([1], lambda n: n, lambda found: ["old"] * len(found), name="write")

    found = crew.settle([1], lambda n: n, lambda found: ["new"] * len(found), name="write")

    assert [(1, "new")] == found
