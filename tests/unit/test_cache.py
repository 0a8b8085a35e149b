"""The cache: newer states win, and without Redis it is only slow."""

import json

import fakeredis
import pytest

from orchestrator import views
from orchestrator.cache import PREFIX, Cache, read_cached
from orchestrator.ids import new_video_id
from tests.core import make_video


@pytest.fixture
def server():
    """A Redis in memory."""
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture
def cache(server):
    """A cache on it."""
    return Cache("", client=server)


@pytest.fixture
def no_cache():
    """A cache whose Redis is away."""
    gone = fakeredis.FakeServer()
    gone.connected = False
    return Cache("", client=fakeredis.FakeRedis(server=gone))


def shown(video_id=None, *, seq=1, status="queued"):
    """A video as GET shows it."""
    return views.video(make_video(id=video_id or new_video_id(), seq=seq, status=status))


def test_get_returns_what_was_set(cache):
    """Values are JSON of any kind."""
    assert cache.set("k", {"a": [1, None]}) is True

    assert {"a": [1, None]} == cache.get("k")


def test_set_expires_when_a_ttl_is_given(cache, server):
    """Without a ttl a key stays."""
    cache.set("short", 1, ttl=7)
    cache.set("long", 1)

    assert (7, -1) == (server.ttl("short"), server.ttl("long"))


def test_delete_tells_whether_there_was_something(cache):
    """The first one removes, the second finds nothing."""
    cache.set("k", 1)

    assert (True, False) == (cache.delete("k"), cache.delete("k"))
    assert cache.get("k") is None


def test_many_videos_are_read_at_once(cache, server):
    """In the order in which they were asked for; a tombstone is none."""
    first, second, gone = made = [make_video() for _ in range(3)]
    cache.put_videos(made, views.texts(made))
    cache.invalidate_videos([gone.id])

    found = cache.get_videos([second.id, "video_none", gone.id, first.id])

    assert [views.video(second), None, None, views.video(first)] == [
        read_cached(raw) for raw in found
    ]


def test_exists_is_true_while_the_key_is_there(cache):
    """A falsy value is a value."""
    cache.set("k", 0)

    assert (True, False) == (cache.exists("k"), cache.exists("other"))


def test_video_comes_back_as_it_was_put(cache, server):
    """Under the documented key, equal to what GET shows."""
    video = shown()

    assert cache.put_video(video) is True

    assert video == cache.get_video(video["id"])
    assert 1 == server.exists(f"sora:video:{video['id']}")


@pytest.mark.parametrize(
    ("status", "ttl"),
    [("queued", 300), ("in_progress", 300), ("failed", 300), ("completed", 3600)],
)
def test_video_stays_by_its_status(cache, server, status, ttl):
    """An hour when completed, five minutes otherwise."""
    video = shown(status=status)

    cache.put_video(video)

    assert ttl == server.ttl(PREFIX + video["id"])


def test_older_state_is_refused_when_a_newer_one_is_there(cache):
    """A late writer cannot put yesterday over today."""
    newer = shown(seq=10, status="completed")
    cache.put_video(newer)

    assert cache.put_video(shown(newer["id"], seq=9)) is False
    assert newer == cache.get_video(newer["id"])


@pytest.mark.parametrize(("before", "after"), [(9, 10), (11, 11)])
def test_state_replaces_when_it_is_as_new_or_newer(cache, before, after):
    """The same number is the same state; numbers are compared as numbers, not as text."""
    cache.put_video(shown("video_" + "0" * 32, seq=before))
    later = shown("video_" + "0" * 32, seq=after, status="in_progress")

    assert cache.put_video(later) is True
    assert later == cache.get_video(later["id"])


def test_tombstone_keeps_what_was_erased_out(cache, server):
    """A reader who was slow cannot put it back, whatever its number; a minute later it is gone."""
    video = shown(seq=4)
    cache.put_video(video)

    cache.invalidate_videos([video["id"]])

    assert cache.get_video(video["id"]) is None
    assert cache.put_video(video) is False
    assert cache.put_video(shown(video["id"], seq=99)) is False
    assert 0 < server.ttl(PREFIX + video["id"]) <= 60


def test_many_videos_are_forgotten_at_once(cache):
    """Only those named, however many."""
    videos = [make_video() for _ in range(203)]
    cache.put_videos(videos, views.texts(videos))

    cache.invalidate_videos(video.id for video in videos[1:-1])
    cache.invalidate_videos([])

    left = [video for video in videos if cache.get_video(video.id) is not None]
    assert [videos[0], videos[-1]] == left


def test_clear_removes_videos_and_nothing_else(cache, server):
    """The server may hold a broker's queues: they are not ours to remove."""
    server.lpush("vq:create", "a message")
    server.set("sora:once:x", 1)
    for number in range(1203):
        server.set(f"{PREFIX}{number}", "{}")

    assert 1203 == cache.clear_videos()
    assert [b"sora:once:x", b"vq:create"] == sorted(server.keys())
    assert 0 == cache.clear_videos()


@pytest.mark.parametrize("value", [b"not json", b"\xff\xfe", b"[1]", b'"text"', b"7"])
def test_foreign_value_counts_as_none(cache, server, value):
    """What somebody else wrote under our key costs a look into the database, not an error."""
    server.set(PREFIX + "video_1", value)

    assert cache.get_video("video_1") is None


def test_foreign_value_is_replaced_when_a_video_is_put(cache, server):
    """A value without a number does not stand in the way."""
    video = shown()
    server.set(PREFIX + video["id"], b"not json")

    assert cache.put_video(video) is True
    assert video == cache.get_video(video["id"])


def test_value_begins_with_its_number(cache, server):
    """The script reads the number without parsing JSON, so it must come first."""
    video = shown(seq=12)

    cache.put_video(video)

    raw = server.get(PREFIX + video["id"])
    assert raw.startswith(b'{"seq":12,')
    assert video == json.loads(raw)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda c: c.get("k"), None),
        (lambda c: c.set("k", 1), False),
        (lambda c: c.delete("k"), False),
        (lambda c: c.exists("k"), False),
        (lambda c: c.put_video(shown()), False),
        (lambda c: c.get_video("video_1"), None),
        (lambda c: c.get_videos(["video_1", "video_2"]), [None, None]),
        (lambda c: c.invalidate_videos(["video_1"]), None),
        (lambda c: c.clear_videos(), 0),
        (lambda c: c.stats(), {"connected": False}),
        (lambda c: c.ping(), False),
    ],
)
def test_nothing_is_raised_when_redis_is_away(no_cache, call, answer):
    """A fault of Redis is a log line and an empty answer."""
    assert answer == call(no_cache)


def test_nothing_is_opened_before_the_first_use():
    """A cache whose address answers nobody can be made and closed."""
    Cache("redis://127.0.0.1:1/0").close()


def test_redis_is_left_alone_for_a_moment_after_it_failed() -> None:
    """One that hangs costs one caller its timeout, not every caller every time."""
    now = [0.0]
    server = fakeredis.FakeServer()
    cache = Cache("", client=fakeredis.FakeRedis(server=server), monotonic=lambda: now[0])
    server.connected = False
    refused = cache.set("a", 1)
    server.connected = True

    at_once, now[0] = cache.set("a", 1), 1.1
    later = cache.set("a", 1)

    assert (False, False, True) == (refused, at_once, later)
