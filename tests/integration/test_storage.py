"""One suite over both storages: a folder, and a bucket of a real S3-protocol server."""

import gc
import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from orchestrator.errors import ContentMissing
from orchestrator.storage import open_storage

MIB = 1024 * 1024
AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def s3_endpoint():
    """The address of an S3-protocol server on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path):
    """An empty storage of either kind."""
    if request.param == "folder":
        return open_storage(f"file://{tmp_path}/the%20videos", {})
    endpoint = request.getfixturevalue("s3_endpoint")
    bucket = f"bucket-{uuid4().hex}"
    new_bucket = Request(f"{endpoint}/{bucket}", method="PUT")
    urlopen(new_bucket).close()
    return open_storage(f"s3://{bucket}/the%20videos?region=us-east-1&endpoint={endpoint}", AWS)


def put(storage, key, data=b"bytes"):
    storage.put(key, [data], content_type="application/octet-stream")


def read(storage, key, **part):
    with storage.open(key, **part) as content:
        return b"".join(content.chunks)


def keys(storage, prefix="", **options):
    return [info.key for info in storage.list(prefix, limit=100, **options)]


def test_put_keeps_the_bytes_when_they_come_in_chunks(storage):
    """What was put comes back whole, with its size and a time of now."""
    storage.put("videos/v1/a.mp4", iter([b"one", b"", b"two"]), content_type="video/mp4")

    assert read(storage, "videos/v1/a.mp4") == b"onetwo"
    info = storage.stat("videos/v1/a.mp4")
    assert (info.key, info.size) == ("videos/v1/a.mp4", 6)
    assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=1)


def test_put_keeps_an_object_when_it_is_empty(storage):
    """Nothing is something too."""
    storage.put("empty", [], content_type="text/plain")

    assert read(storage, "empty") == b""
    assert storage.stat("empty").size == 0


def test_put_keeps_the_bytes_when_they_fill_several_parts(storage):
    """Twenty megabytes go through multipart upload and come back the same, in bounded chunks."""
    blocks = [bytes([n]) * MIB for n in range(20)]

    storage.put("big", iter(blocks), content_type="video/mp4")

    digest, sizes = hashlib.sha256(), []
    with storage.open("big") as content:
        assert (content.size_total, content.start, content.end) == (20 * MIB, 0, 20 * MIB)
        for chunk in content.chunks:
            digest.update(chunk)
            sizes.append(len(chunk))
    assert digest.hexdigest() == hashlib.sha256(b"".join(blocks)).hexdigest()
    assert max(sizes) <= 4 * MIB


def test_put_replaces_the_object_when_the_key_exists(storage):
    """The last writer of a key wins."""
    put(storage, "k", b"old and longer")

    put(storage, "k", b"new")

    assert read(storage, "k") == b"new"


def test_put_leaves_the_former_object_when_its_source_breaks_off(storage):
    """A download that fails in the middle replaces nothing and leaves nothing."""

    def broken():
        yield b"x" * 9 * MIB
        raise ConnectionError("the provider hung up")

    put(storage, "k", b"former")
    for key in ("k", "other"):
        with pytest.raises(ConnectionError, match="hung up"):
            storage.put(key, broken(), content_type="video/mp4")

    assert read(storage, "k") == b"former"
    assert keys(storage) == ["k"]


@pytest.mark.parametrize(
    ("part", "start", "end"),
    [
        ({"start": 3}, 3, 10),
        ({"start": 0, "end": 1}, 0, 1),
        ({"start": 2, "end": 5}, 2, 5),
        ({"start": 9, "end": 99}, 9, 10),
        ({"end": 0}, 0, 0),
        ({"start": 4, "end": 4}, 4, 4),
        ({"start": 10}, 10, 10),
        ({"start": 11, "end": 20}, 10, 10),
    ],
)
def test_open_gives_the_part_when_asked_for_one(storage, part, start, end):
    """A part is half-open and cut to what the object has."""
    put(storage, "k", b"0123456789")

    with storage.open("k", **part) as content:
        received = b"".join(content.chunks)

    assert received == b"0123456789"[start:end]
    assert (content.size_total, content.start, content.end) == (10, start, end)


@pytest.mark.parametrize("part", [{"start": -1}, {"start": 5, "end": 4}, {"start": 0, "end": -1}])
def test_open_refuses_when_the_part_is_none(storage, part):
    """A part that ends before it starts is the caller's mistake, not an empty answer."""
    put(storage, "k")

    with pytest.raises(ValueError, match="not a part"):
        storage.open("k", **part)


def test_open_says_missing_when_nothing_is_there(storage):
    """A key without bytes is ContentMissing, in whole and in part, and so is a folder of keys."""
    put(storage, "videos/v1/a.mp4")

    for key in ("nothing", "videos/v1", "videos/v1/a.mp4/deeper"):
        assert storage.stat(key) is None
        with pytest.raises(ContentMissing):
            storage.open(key)
        with pytest.raises(ContentMissing):
            storage.open(key, start=1)


def test_open_serves_many_readers_when_they_come_at_once(storage):
    """A hundred downloads may be open at the same time."""
    put(storage, "k", b"x" * 70_000)

    contents = [storage.open("k", start=n) for n in range(100)]
    sizes = [sum(map(len, content.chunks)) for content in contents]

    for content in contents:
        content.close()
    assert sizes == [70_000 - n for n in range(100)]


def test_open_lets_go_when_the_reader_stops_in_the_middle(storage):
    """Closing early leaves nothing open (a forgotten file would be a warning, hence an error)."""
    put(storage, "k", b"x" * 3 * MIB)

    begun, untouched = storage.open("k"), storage.open("k")
    next(begun.chunks)
    begun.close()
    untouched.close()
    del begun, untouched
    gc.collect()

    assert len(read(storage, "k")) == 3 * MIB


def test_delete_removes_the_object_and_may_be_repeated(storage):
    """Deleting is idempotent and touches no neighbour."""
    put(storage, "videos/v1/a.mp4")
    put(storage, "videos/v1/b.webp")

    storage.delete("videos/v1/a.mp4")
    storage.delete("videos/v1/a.mp4")
    storage.delete("videos/never/was.mp4")
    storage.delete("videos/v1")

    assert keys(storage) == ["videos/v1/b.webp"]


def test_staged_bytes_are_measured_and_kept_when_committed(storage):
    """Digest, size and head are known before the key that is made of them."""
    data = bytes(range(256)) * 4
    with storage.stage() as staged:
        for at in range(0, len(data), 10):
            staged.write(data[at : at + 10])
        key = f"videos/v1/{staged.sha256}.mp4"
        measured = (staged.sha256, staged.size, staged.head)
        staged.commit(key, "video/mp4")

    assert measured == (hashlib.sha256(data).hexdigest(), 1024, data[:64])
    assert read(storage, key) == data


def test_staged_bytes_vanish_when_they_are_not_committed(storage):
    """Leaving the block, by its end or by an error, forgets what was written."""
    with storage.stage() as staged:
        staged.write(b"not a video")
    with suppress(RuntimeError), storage.stage() as staged:
        staged.write(b"half a video")
        raise RuntimeError

    assert keys(storage) == []


def test_staged_bytes_are_refused_when_already_committed(storage):
    """A commit is final."""
    with storage.stage() as staged:
        staged.write(b"a")
        staged.commit("a", "text/plain")
        with pytest.raises(ValueError, match="committed"):
            staged.write(b"b")
        with pytest.raises(ValueError, match="committed"):
            staged.commit("b", "text/plain")

    assert (keys(storage), read(storage, "a")) == (["a"], b"a")


def test_two_stores_of_one_video_agree_when_they_race(storage):
    """Two workers that store the same bytes under the same key both succeed."""
    with storage.stage() as one, storage.stage() as two:
        one.write(b"video")
        two.write(b"video")
        two.commit("videos/v/x.mp4", "video/mp4")
        one.commit("videos/v/x.mp4", "video/mp4")

    assert (keys(storage), read(storage, "videos/v/x.mp4")) == (["videos/v/x.mp4"], b"video")


def test_list_walks_keys_in_order_when_folders_and_names_mix(storage):
    """Order is that of whole keys, prefixes are whole folders, `after` and `limit` make batches."""
    names = ["a-b/x", "a.b", "a/x", "a/y/z", "ab/x", "b"]
    for name in reversed(names):
        put(storage, name)

    assert keys(storage) == sorted(names)
    assert keys(storage, "a") == keys(storage, "a/") == ["a/x", "a/y/z"]
    assert keys(storage, "none") == []
    for at, name in enumerate(sorted(names)):
        assert keys(storage, after=name) == sorted(names)[at + 1 :]
    assert keys(storage, "a", after="a/x") == ["a/y/z"]
    assert [info.key for info in storage.list("", limit=2)] == ["a-b/x", "a.b"]


@pytest.mark.parametrize("key", ["", "/abs", "../up", "a/../b", "a\0b", ".staging/x", "a b"])
def test_every_call_refuses_when_the_key_is_not_one(storage, key):
    """No call lets a strange key through."""
    calls = [
        lambda: put(storage, key),
        lambda: storage.open(key),
        lambda: storage.open(key, start=1),
        lambda: storage.stat(key),
        lambda: storage.delete(key),
        lambda: storage.signed_url(key, expires_in=timedelta(minutes=1), filename=None),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="not a storage key"):
            call()


def test_check_passes_and_leaves_nothing_when_the_storage_works(storage):
    """Doctor's probe cleans up behind itself."""
    storage.check()

    assert keys(storage) == []


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        (None, None),
        ("my film.mp4", "attachment; filename=\"my_film.mp4\"; filename*=UTF-8''my%20film.mp4"),
    ],
)
def test_signed_url_is_fetched_by_anyone_when_the_storage_has_them(storage, filename, expected):
    """S3 hands the bytes to whoever has the URL, typed and named; a folder has no URL."""
    storage.put("videos/v/a.mp4", [b"video"], content_type="video/mp4")

    url = storage.signed_url("videos/v/a.mp4", expires_in=timedelta(minutes=5), filename=filename)

    if storage.url.startswith("file:"):
        assert url is None
        return
    with urlopen(url) as response:
        assert response.read() == b"video"
        assert response.headers["Content-Type"] == "video/mp4"
        assert response.headers["Content-Disposition"] == expected
