"""The doorbell: what is rung, where it lies, and what happens when nobody can hear it."""

import json
import time
from base64 import b64decode

import pytest
import redis

from orchestrator.broker import KEY_PREFIX, QUEUES, Broker, celery_app
from orchestrator.rings import Ring, polls, submits
from tests.factories import NOWHERE


@pytest.fixture
def broker(redis_url):
    """A broker on an empty server."""
    broker = Broker(redis_url)
    yield broker
    broker.close()


def test_rings_lie_in_their_queues_and_nowhere_else(broker):
    """A message goes to the queue that it names, once."""
    rings = [
        Ring("create", ("video_1",), "create"),
        Ring("remix", ("video_2",), "remix"),
        Ring("poll", (["video_3", "video_4"],), "poll"),
        Ring("store", ("video_5",), "store"),
        Ring("reconcile", ("default", "sandbox"), "dispatch"),
        Ring("create", ("video_6",), "create"),
    ]

    assert broker.ring(rings) is True

    waiting = {"dispatch": 1, "create": 2, "remix": 1, "poll": 1, "store": 1}
    assert {**dict.fromkeys(QUEUES, 0), **waiting} == broker.depths()


def test_message_carries_the_ids_and_nothing_of_the_video(broker, redis_url):
    """What is in the broker may be old: so nothing is in it but names."""
    broker.ring([Ring("poll", (["video_3", "video_4"],), "poll")])

    with redis.Redis.from_url(redis_url) as client:
        (raw,) = client.lrange(f"{KEY_PREFIX}poll", 0, -1)
    message = json.loads(raw)
    assert "poll" == message["headers"]["task"]
    assert message["headers"]["eta"] is None
    assert [[["video_3", "video_4"]], {}] == json.loads(b64decode(message["body"]))[:2]
    assert "application/json" == message["content-type"]


@pytest.mark.parametrize(
    "ring",
    [
        Ring("create", ("video_1",), "create"),
        Ring("poll", (["video_3", "video_4"],), "poll"),
        Ring("reconcile", ("default", "sandbox"), "dispatch"),
        Ring("dispatch", (), "dispatch"),
    ],
    ids=lambda ring: ring.task,
)
def test_message_is_the_one_that_celery_would_publish(broker, redis_url, ring):
    """Written by us because that is ten times as fast; a new Celery must not mean something else by
    it. Only the ids differ, and who sent it.
    """
    app = celery_app(redis_url)
    app.send_task(ring.task, args=ring.args, queue=ring.queue, ignore_result=True)
    app.close()

    broker.ring([ring])

    with redis.Redis.from_url(redis_url) as client:
        ours, theirs = map(json.loads, client.lrange(f"{KEY_PREFIX}{ring.queue}", 0, -1))
    for message in (ours, theirs):
        headers, properties = message["headers"], message["properties"]
        ids = [headers["id"], headers.pop("root_id"), properties.pop("correlation_id")]
        assert [headers.pop("id")] * 3 == ids
        assert isinstance(headers.pop("origin"), str)
        assert isinstance(properties.pop("reply_to"), str)
        assert properties.pop("delivery_tag")
        message["body"] = json.loads(b64decode(message["body"]))
    assert theirs == ours


def test_messages_have_ids_of_their_own(broker, redis_url):
    """A worker tells messages apart by their tags."""
    broker.ring([Ring("create", (f"video_{n}",), "create") for n in range(50)])

    with redis.Redis.from_url(redis_url) as client:
        raw = client.lrange(f"{KEY_PREFIX}create", 0, -1)
    messages = [json.loads(one) for one in raw]
    assert 50 == len({message["headers"]["id"] for message in messages})
    assert 50 == len({message["properties"]["delivery_tag"] for message in messages})


@pytest.mark.parametrize(
    ("url", "number"), [("redis+socket:///run/v.sock?virtual_host=3", 3), ("unix:///run/v.sock", 0)]
)
def test_sockets_are_understood_as_celery_writes_them(url, number):
    """BROKER_URL has the form that workers need."""
    options = Broker(url)._redis.connection_pool.connection_kwargs

    assert ("/run/v.sock", number) == (options["path"], options.get("db", 0))


def test_every_key_of_the_broker_has_its_prefix(broker, redis_url):
    """Clearing the cache by its prefix cannot hit the broker, nor the other way round."""
    broker.ring([Ring(name, ("x",), name) for name in QUEUES])

    with redis.Redis.from_url(redis_url) as client:
        strange = [key for key in client.scan_iter() if not key.startswith(KEY_PREFIX.encode())]
    assert [] == strange


def test_ringing_nothing_is_done_at_once():
    """No rings, no connection."""
    assert Broker(NOWHERE).ring([]) is True


def test_ring_fails_quietly_and_soon_when_the_broker_is_down():
    """A request pays little for a broker that is away, and the next ones nothing."""
    clock = [100.0]
    broker = Broker(NOWHERE, monotonic=lambda: clock[0])

    began = time.perf_counter()
    first = broker.ring([Ring("create", ("x",), "create")])
    took = time.perf_counter() - began
    second = broker.ring([Ring("create", ("x",), "create")])

    assert (False, False) == (first, second)
    assert took < 2
    assert broker.depths() is None
    assert {} == broker.workers(0.1)
    broker.close()


def test_breaker_stays_shut_for_a_second_and_tries_again(redis_url):
    """While it is open nothing is sent; afterwards a ring gets through again."""
    clock = [100.0]
    broker = Broker(NOWHERE, monotonic=lambda: clock[0])
    broker.ring([Ring("create", ("x",), "create")])
    broker.close()
    broker._redis = redis.Redis.from_url(redis_url)  # the server is back at its address

    clock[0] += 0.9
    silent = broker.ring([Ring("create", ("x",), "create")])
    clock[0] += 0.2
    back = broker.ring([Ring("create", ("x",), "create")])

    assert (False, True) == (silent, back)
    assert 1 == (broker.depths() or {})["create"]
    broker.close()


def test_depths_are_zero_when_nothing_waits(broker):
    """Each queue is listed, empty or not."""
    assert dict.fromkeys(QUEUES, 0) == broker.depths()


def test_no_worker_answers_when_there_is_none(broker):
    """An empty list, not an error."""
    assert {} == broker.workers(0.1)


def test_submits_go_to_the_queue_of_their_kind():
    """Creates and whatever starts from another video have queues of their own."""
    rings = submits([("a", "create"), ("b", "remix"), ("c", "edit")])

    assert [("create", ("a",), "create"), ("remix", ("b", "c"), "remix")] == [
        (ring.task, ring.args, ring.queue) for ring in rings
    ]


def test_polls_are_bundled_by_account():
    """One message names up to `chunk` videos of one account, and never two accounts."""
    due = [(f"a{n}", "one", "x") for n in range(5)] + [("b", "one", "y"), ("c", "two", "x")]

    rings = polls(due, chunk=3)

    assert [(["a0", "a1", "a2"],), (["a3", "a4"],), (["b"],), (["c"],)] == [r.args for r in rings]
