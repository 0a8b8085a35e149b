"""The cache on a real Valkey: its Lua, its scan and its memory of scripts."""

import redis

from orchestrator import views
from orchestrator.cache import PREFIX, Cache
from orchestrator.limits import Limits
from tests.core import make_video, race


def test_versions_hold_when_many_write_at_once(redis_url):
    """Forty writers of forty states: the newest one stays, whoever came last."""
    cache = Cache(redis_url)
    states = [views.video(make_video(id="video_" + "1" * 32, seq=seq)) for seq in range(1, 41)]

    race(*[lambda state=state: cache.put_video(state) for state in states])

    assert states[-1] == cache.get_video("video_" + "1" * 32)
    cache.close()


def test_put_works_when_the_server_has_forgotten_the_script(redis_url):
    """A restarted server knows no scripts; the cache teaches it again."""
    cache = Cache(redis_url)
    video = views.video(make_video())
    cache.put_video(video)
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()

    assert cache.put_video(video) is True
    cache.invalidate_videos([video["id"]])
    assert cache.put_video(video) is False
    assert cache.get_video(video["id"]) is None
    cache.close()


def test_stats_count_videos_hits_and_memory(redis_url):
    """What an operator sees: how many videos are cached, and whether that helps."""
    cache = Cache(redis_url)
    video = views.video(make_video())
    cache.put_video(video)
    cache.set("other", 1)
    before = cache.stats()

    cache.get_video(video["id"])
    cache.get_video("video_" + "0" * 32)
    after = cache.stats()

    assert (True, 1) == (after["connected"], after["videos"])
    assert (1, 1) == (after["hits"] - before["hits"], after["misses"] - before["misses"])
    assert after["memory_bytes"] > 0
    cache.close()


def test_clear_leaves_what_is_not_a_video(redis_url):
    """The broker's queues live on the same server."""
    cache = Cache(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.lpush("vq:create", "a message")
        client.mset({f"{PREFIX}{number}": "{}" for number in range(2500)})

        assert 2500 == cache.clear_videos()
        assert [b"vq:create"] == client.keys()
    cache.close()


def test_once_runs_out_by_itself(redis_url):
    """The server forgets after the time that was asked for."""
    limits = Limits(redis_url)
    limits.once("poll:1", 30)

    with redis.Redis.from_url(redis_url) as client:
        assert 29_000 < client.pttl("sora:once:poll:1") <= 30_000
    limits.close()
