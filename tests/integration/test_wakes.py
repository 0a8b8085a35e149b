"""Wakes: who waits hears of a change through Redis."""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Thread

import redis

from orchestrator.wakes import CHANNEL, Wakes
from tests.factories import NOWHERE


def test_wakes_bring_a_change_to_whoever_hears(redis_url):
    """Through Redis, as ids; foreign messages in the channel are nothing."""
    teller, hearer, stopped, got = Wakes(redis_url), Wakes(redis_url), Event(), SimpleQueue()
    thread = Thread(target=hearer.hear, args=(got.put, stopped))
    thread.start()
    try:
        with redis.Redis.from_url(redis_url) as plain:
            while not plain.publish(CHANNEL, "{}"):
                stopped.wait(0.01)
            plain.publish(CHANNEL, '[["ann"], 3, [1, 2]]')
        teller.tell([("ann", "video_1"), ("ann", "video_1"), ("bob", "video_2")])
        heard: list[tuple[str, str]] = []
        while len(set(heard)) < 2:
            heard += got.get(timeout=20)
    finally:
        stopped.set()
        thread.join()
        teller.close()
        hearer.close()

    assert {("ann", "video_1"), ("bob", "video_2")} == set(heard)


def test_wakes_cost_nothing_when_redis_is_away():
    """Nobody waits for it, and nobody is told."""
    wakes = Wakes(NOWHERE)

    wakes.tell([("ann", "video_1")] * 20_000)
    wakes.close()
