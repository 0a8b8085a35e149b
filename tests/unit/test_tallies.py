"""The sums of all processes, in Redis."""

import fakeredis
import pytest
from structlog.testing import capture_logs

from orchestrator.tallies import PROCESSES, SUMS, Presence, Tallies
from tests.factories import NOWHERE

SERIES = ("orchestrator_videos_created_total", "", 'a "model", é')


@pytest.fixture
def client():
    return fakeredis.FakeRedis()


def tallies(client):
    return Tallies("", client=client)


def test_sums_grow_when_several_processes_add(client):
    """Each adds what is new; any of them reads all, names and fractions included."""
    one, other = tallies(client), tallies(client)

    one.add("p1", Presence("web", 3), {SERIES: 2})
    one.add("p1", Presence("web", 4), {SERIES: 1})
    other.add("p2", Presence("worker"), {SERIES: 0.5})

    totals = other.read()
    assert {SERIES: 3.5} == totals.sums
    assert [Presence("web", 4), Presence("worker")] == sorted(
        totals.processes, key=lambda one: one.kind
    )


def test_sums_stay_when_a_process_leaves(client):
    """A counter that shrinks would look like a restart of everything."""
    one = tallies(client)
    one.add("p1", Presence("web"), {SERIES: 2})

    one.leave("p1")

    totals = one.read()
    assert ({SERIES: 2}, ()) == (totals.sums, totals.processes)


@pytest.mark.parametrize(("age", "counted", "kept"), [(31, 0, 1), (3601, 0, 0)])
def test_process_counts_no_more_when_it_has_been_silent(client, age, counted, kept):
    """It was killed: nobody said goodbye."""
    one = tallies(client)
    one.add("p1", Presence("web"), {})
    seconds, _, about = client.hget(PROCESSES, "p1").partition(b" ")
    client.hset(PROCESSES, "p1", b"%d %s" % (int(seconds) - age, about))

    totals = one.read()

    assert (counted, kept) == (len(totals.processes), client.hlen(PROCESSES))


def test_numbers_vanish_when_nobody_adds_for_a_month(client):
    """Redis keeps nothing of an installation that is gone."""
    tallies(client).add("p1", Presence("web"), {SERIES: 1})

    assert all(0 < client.ttl(key) <= 30 * 86_400 for key in (SUMS, PROCESSES))


def test_nothing_raises_when_redis_is_away():
    """Numbers are worth a log line, no more."""
    away = Tallies(NOWHERE)

    with capture_logs() as logged:
        added, read = away.add("p1", Presence("web"), {SERIES: 1}), away.read()
        away.leave("p1")
    away.close()

    assert (False, None) == (added, read)
    assert {"metrics_unavailable"} == {line["event"] for line in logged}
