"""Throttles: shared through Redis, and each process's own without it."""

import fakeredis
import pytest

from orchestrator.limits import _LOCAL_MAX, Limits
from tests.clock import Clock


@pytest.fixture
def clock():
    """Time that passes when told to."""
    return Clock()


@pytest.fixture
def server():
    """A Redis in memory, shared by the processes of a test."""
    return fakeredis.FakeServer()


def limits(server, clock):
    """What one process has."""
    return Limits("", client=fakeredis.FakeRedis(server=server), monotonic=clock)


def test_once_is_true_for_the_first_alone(server, clock):
    """The second one in the same seconds is told no."""
    here = limits(server, clock)

    assert [True, False, False] == [here.once("poll:1", 5) for _ in range(3)]


def test_once_counts_each_name_for_itself(server, clock):
    """One video's reader does not keep another's waiting."""
    here = limits(server, clock)
    here.once("poll:1", 5)

    assert here.once("poll:2", 5) is True


def test_lately_tells_what_was_asked_here(server, clock):
    """Until the seconds have passed; what other processes ask is not known."""
    here, there = limits(server, clock), limits(server, clock)
    here.once("poll:1", 5)

    told = (here.lately("poll:1"), here.lately("poll:2"), there.lately("poll:1"))

    clock.now += 5.1
    assert (True, False, False) == told
    assert here.lately("poll:1") is False


def test_once_is_shared_by_processes(server, clock):
    """Whoever asks second is told no, in whichever process."""
    limits(server, clock).once("poll:1", 5)

    assert limits(server, clock).once("poll:1", 5) is False


def test_once_is_true_again_when_the_seconds_have_passed(server, clock):
    """Both clocks, ours and that of Redis, must have run out."""
    here = limits(server, clock)
    here.once("poll:1", 5)

    clock.now += 5.1
    still_there = here.once("poll:1", 5)
    clock.now += 5.1
    fakeredis.FakeRedis(server=server).delete("sora:once:poll:1")

    assert (False, True) == (still_there, here.once("poll:1", 5))


def test_once_leaves_a_key_that_expires(server, clock):
    """Nothing stays behind in Redis, and half a second is half a second."""
    limits(server, clock).once("poll:1", 0.5)

    assert 0 < fakeredis.FakeRedis(server=server).pttl("sora:once:poll:1") <= 500


def test_once_still_throttles_when_redis_is_away(server, clock):
    """Each process counts for itself then."""
    server.connected = False
    one, other = limits(server, clock), limits(server, clock)

    assert [True, False] == [one.once("poll:1", 5), one.once("poll:1", 5)]
    assert other.once("poll:1", 5) is True

    clock.now += 5.1
    assert one.once("poll:1", 5) is True


def test_memory_is_bounded_when_many_names_are_asked_for(server, clock):
    """Strange ids cannot fill a process's memory."""
    server.connected = False
    here = limits(server, clock)

    for number in range(_LOCAL_MAX + 10):
        here.once(f"poll:{number}", 5)

    assert len(here._local) <= _LOCAL_MAX
    assert here.once(f"poll:{_LOCAL_MAX + 9}", 5) is False


def test_names_that_have_run_out_are_forgotten_first(server, clock):
    """When memory is full, what still counts is kept."""
    server.connected = False
    here = limits(server, clock)
    for number in range(_LOCAL_MAX - 1):
        here.once(f"old:{number}", 5)
    clock.now += 5.1
    here.once("young", 5)

    here.once("last", 5)

    assert here.once("young", 5) is False


@pytest.mark.parametrize("connected", [True, False])
def test_take_refuses_what_is_too_much(server, clock, connected):
    """As many as are allowed come at once, and no more; other names are not concerned."""
    server.connected = connected
    here = limits(server, clock)

    taken = [here.take("key", 3) for _ in range(4)]

    assert [True, True, True, False] == [one.allowed for one in taken]
    assert [2, 1, 0, 0] == [one.remaining for one in taken]
    assert [20, 40, 60, 60] == [round(one.full_after) for one in taken]
    assert 20 == round(taken[-1].retry_after)
    assert here.take("other", 3).allowed


def test_take_gives_back_evenly_when_redis_is_away(server, clock):
    """One more after a third of the minute, all after the whole."""
    server.connected = False
    here = limits(server, clock)
    for _ in range(3):
        here.take("key", 3)

    clock.now += 20.1
    assert [True, False] == [here.take("key", 3).allowed for _ in range(2)]
    clock.now += 60
    assert 2 == here.take("key", 3).remaining


def test_take_is_shared_by_processes(server, clock):
    """A name does not get more where there are more processes."""
    here, there = limits(server, clock), limits(server, clock)

    assert [True, True, False] == [one.take("key", 2).allowed for one in (here, there, here)]


def test_take_leaves_redis_alone_when_it_has_just_been_away(server, clock):
    """Only one request in five seconds waits for what does not answer."""
    here = limits(server, clock)
    server.connected = False
    here.take("key", 2)
    server.connected = True

    alone = here.take("key", 2)
    clock.now += 6
    again = here.take("key", 2)

    assert 0 == alone.remaining
    assert 1 == again.remaining


def test_what_is_held_is_so_for_all_until_it_is_let_go(server, clock):
    """Two processes, one name; another name is free."""
    holder, other = limits(server, clock), limits(server, clock)

    holder.hold("follow a", 10)
    held = [other.held("follow a"), other.held("follow b")]
    holder.let_go("follow a")

    assert ([True, False], False) == (held, other.held("follow a"))


def test_nothing_is_held_when_redis_is_away(clock):
    """A hint that does not arrive costs a look too many, never one too few."""
    alone = Limits("redis://127.0.0.1:1/0", monotonic=clock)

    alone.hold("follow a", 10)

    assert not alone.held("follow a")
    alone.let_go("follow a")


def test_nobody_waits_twice_in_a_row_for_a_redis_that_is_away(server, clock):
    """Whatever was asked first, the next ones answer by themselves for five seconds."""
    here, there = limits(server, clock), limits(server, clock)
    there.hold("follow a", 60)
    there.once("poll:1", 60)
    server.connected = False
    here.held("follow a")
    server.connected = True

    alone = (here.held("follow a"), here.once("poll:1", 5))
    here.hold("follow b", 60)
    unheard = there.held("follow b")
    clock.now += 5.1

    assert ((False, True), False) == (alone, unheard)
    assert (True, False) == (here.held("follow a"), here.once("poll:1", 5))
