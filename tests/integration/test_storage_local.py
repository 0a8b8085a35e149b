"""What only a folder can do wrong: links, rights, crashes, a full disk."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage import open_storage
from orchestrator.storage.local import LocalStorage
from tests.clock import Clock

MIB = 1024 * 1024
DAY = 24 * 3600

FILL = """
import resource, sys
from orchestrator.errors import StorageError
from orchestrator.storage import open_storage

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    open_storage(sys.argv[1], {}).put("v/a.mp4", [b"x" * 600_000] * 2, content_type="video/mp4")
except StorageError as error:
    print(error.message)
"""

STALL = """
import sys
from orchestrator.storage import open_storage

def chunks():
    yield b"x" * 1_000_000
    print("half", flush=True)
    sys.stdin.read()

open_storage(sys.argv[1], {}).put("v/a.mp4", chunks(), content_type="video/mp4")
"""


PASS = """
import sys, tracemalloc
from orchestrator.storage import open_storage

storage = open_storage(sys.argv[1], {})
block = b"x" * 1024 * 1024
tracemalloc.start()
storage.put("a", (block for _ in range(50)), content_type="video/mp4")
with storage.open("a") as content:
    size = sum(map(len, content.chunks))
print(size, tracemalloc.get_traced_memory()[1])
"""


@pytest.fixture
def root(tmp_path):
    """Where the storage will be: a path that needs care."""
    return tmp_path / "my videos %41"


@pytest.fixture
def storage(root):
    """A storage in a folder that does not exist yet."""
    return open_storage(root.as_uri(), {})


@pytest.fixture
def syscalls(root, monkeypatch):
    """What is synced and renamed, in order, relative to the root; the calls themselves are real."""
    calls, fsync, rename = [], os.fsync, os.rename

    def note_fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(root)
        calls.append("fsync spool" if path.parent.name == ".staging" else f"fsync {path}")
        fsync(descriptor)

    def note_rename(source, target):
        calls.append(f"rename to {Path(target).relative_to(root)}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    return calls


def put(storage, key, data=b"bytes"):
    storage.put(key, [data], content_type="application/octet-stream")


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_folder_is_private_when_the_first_write_makes_it(storage, root):
    """The decoded path is used as it is, and others cannot look into it."""
    put(storage, "v/a.mp4")

    assert (root / "v" / "a.mp4").read_bytes() == b"bytes"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_folder_keeps_its_mode_when_it_exists(storage, root):
    """An operator's own rights are left alone."""
    root.mkdir()
    root.chmod(0o750)

    put(storage, "a")

    assert stat.S_IMODE(root.stat().st_mode) == 0o750


def test_reads_find_nothing_when_the_folder_does_not_exist(storage, root):
    """Looking makes no folder."""
    storage.delete("a/b")

    assert storage.stat("a/b") is None
    assert list(storage.list("", limit=9)) == []
    assert not root.exists()


def test_download_goes_on_when_the_video_is_deleted_under_it(storage):
    """A reader holds the file, not its name."""
    put(storage, "v/a.mp4", b"x" * 3 * MIB)

    with storage.open("v/a.mp4") as content:
        first = next(content.chunks)
        storage.delete("v/a.mp4")
        rest = b"".join(content.chunks)

    assert first + rest == b"x" * 3 * MIB


def test_download_fails_when_the_file_was_cut(storage, root):
    """A file that lost bytes since it was opened is an error, never a short success."""
    put(storage, "a", b"x" * 2 * MIB)

    with storage.open("a") as content:
        os.truncate(root / "a", MIB)

        with pytest.raises(StorageError, match="shorter than it was"):
            list(content.chunks)


def test_delete_removes_folders_when_they_are_empty_then(storage, root):
    """No empty folder is left per deleted video; the one of all videos stays."""
    put(storage, "videos/v1/a.mp4")
    put(storage, "videos/v1/b.mp4")

    storage.delete("videos/v1/a.mp4")
    assert (root / "videos" / "v1").is_dir()
    storage.delete("videos/v1/b.mp4")

    assert list((root / "videos").iterdir()) == []


def test_no_call_follows_a_folder_that_is_a_link_to_elsewhere(storage, root, tmp_path):
    """A planted link neither reads, writes, deletes nor lists outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    put(storage, "a")
    (root / "link").symlink_to(outside)

    for call in (
        lambda: put(storage, "link/new"),
        lambda: put(storage, "link/deep/new"),
        lambda: storage.open("link/secret"),
        lambda: storage.stat("link/secret"),
        lambda: storage.delete("link/secret"),
        lambda: list(storage.list("link", limit=9)),
    ):
        with pytest.raises(StorageError, match="leads out of it"):
            call()

    assert [info.key for info in storage.list("", limit=9)] == ["a"]
    assert files(outside) == ["secret"]


def test_a_file_that_is_a_link_is_nothing_and_is_replaced(storage, root, tmp_path):
    """A link in the place of an object is not read; a put replaces the link, not its target."""
    target = tmp_path / "target"
    target.write_text("secret")
    root.mkdir()
    (root / "a").symlink_to(target)

    assert storage.stat("a") is None
    with pytest.raises(StorageError):
        storage.open("a")
    put(storage, "a", b"mine")

    assert target.read_text() == "secret"
    assert (root / "a").read_bytes() == b"mine"


def test_root_may_itself_be_a_link(tmp_path):
    """An operator may put the folder on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "videos").symlink_to(tmp_path / "disk")
    storage = open_storage((tmp_path / "videos").as_uri(), {})

    put(storage, "v/a.mp4")

    assert files(tmp_path / "disk") == ["v/a.mp4"]


def test_list_leaves_out_what_is_not_ours(storage, root):
    """Spools, hidden and strangely named files are not objects, so no sweep deletes them."""
    put(storage, "a")
    (root / ".hidden").write_text("")
    (root / "with space").write_text("")

    with storage.stage() as staged:
        staged.write(b"x" * MIB)
        shown = [info.key for info in storage.list("", limit=9)]

    assert shown == ["a"]


def test_memory_stays_small_when_a_large_video_passes(root):
    """Fifty megabytes go in and out within two, whatever else this process has in memory."""
    done = subprocess.run(
        [sys.executable, "-c", PASS, root.as_uri()], capture_output=True, text=True, check=True
    )

    size, peak = map(int, done.stdout.split())
    assert size == 50 * MIB
    assert peak < 2 * MIB


def test_put_fails_cleanly_when_the_disk_takes_no_more(root):
    """A refused write is a StorageError with its reason and leaves no file at all."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, root.as_uri()], capture_output=True, text=True, check=True
    )

    assert done.stdout == "The storage does not allow files of this size.\n"
    assert files(root) == []


def test_killed_put_leaves_a_spool_that_a_later_process_removes_when_it_is_a_day_old(storage, root):
    """kill -9 in the middle of a store names nothing; its bytes are cleared away after a day."""
    with subprocess.Popen(
        [sys.executable, "-c", STALL, root.as_uri()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)

    (spool,) = files(root)
    put(storage, "b")
    assert (storage.stat("v/a.mp4"), files(root)) == (None, sorted([spool, "b"]))
    old = (root / spool).stat().st_mtime - DAY - 60
    os.utime(root / spool, (old, old))
    put(open_storage(root.as_uri(), {}), "c")

    assert files(root) == ["b", "c"]


def test_leftovers_are_looked_for_every_hour_when_a_process_goes_on(root):
    """Not for each file: that would cost more than the file."""
    clock = Clock()
    storage = LocalStorage(root, root.as_uri(), clock=clock)
    put(storage, "a")
    leftover = root / ".staging" / "leftover"
    leftover.touch()
    os.utime(leftover, (0, 0))

    put(storage, "b")
    before = leftover.exists()
    clock.now += 3601
    put(storage, "c")

    assert (before, leftover.exists()) == (True, False)


def test_check_says_why_when_the_folder_cannot_be_made(tmp_path):
    """Doctor reads a reason, not a traceback."""
    (tmp_path / "file").write_text("")
    storage = open_storage((tmp_path / "file").as_uri(), {})

    with pytest.raises(StorageError, match="has a file where a folder is needed"):
        storage.check()


def test_check_says_why_when_the_system_denies_the_folder():
    """A place where not even root may write is told from a full one."""
    storage = open_storage("file:///sys/videos", {})

    with pytest.raises(StorageError, match=r"The storage (denies access|is read-only)\."):
        storage.check()


def test_bytes_are_synced_before_their_name_and_folders_after_when_stored(storage, root, syscalls):
    """The order that survives a power failure: file, name, then every folder up to the root."""
    root.mkdir()

    put(storage, "videos/v1/a.mp4")

    assert syscalls == [
        "fsync spool",
        "rename to videos/v1/a.mp4",
        "fsync videos/v1",
        "fsync videos",
        "fsync .",
    ]


def test_name_of_the_first_folder_is_synced_once_when_it_stays(storage, root, syscalls):
    """The folder of all videos is never removed by us: a second video needs no look at the root."""
    root.mkdir()
    put(storage, "videos/v1/a.mp4")
    syscalls.clear()

    put(storage, "videos/v2/a.mp4")

    assert syscalls == [
        "fsync spool",
        "rename to videos/v2/a.mp4",
        "fsync videos/v2",
        "fsync videos",
    ]


@pytest.mark.parametrize("key", ["videos/v1/a.mp4", "videos/a.mp4"])
def test_name_of_the_first_folder_is_synced_again_when_somebody_removed_it(
    storage, root, syscalls, key
):
    """An operator's rm costs nothing that comes after it."""
    root.mkdir()
    put(storage, key)
    shutil.rmtree(root / "videos")
    syscalls.clear()

    put(storage, key)

    assert syscalls[-1] == "fsync ."


def test_put_succeeds_when_a_delete_takes_its_folder_away(storage, root, monkeypatch):
    """A delete that empties the folder just before the rename costs a try, not the video."""
    rename, interrupted = os.rename, []

    def rename_after_a_delete(source, target):
        if not interrupted:
            interrupted.append(target)
            Path(target).parent.rmdir()
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_after_a_delete)

    put(storage, "videos/v1/a.mp4")

    assert len(interrupted) == 1
    assert files(root) == ["videos/v1/a.mp4"]


def test_put_fails_when_its_spool_is_taken_away(storage, root):
    """A spool that somebody cleared is an error after a few tries, not an endless one."""
    with storage.stage() as staged:
        (spool,) = files(root)
        (root / spool).unlink()

        with pytest.raises(StorageError, match="does not work"):
            staged.commit("a", "video/mp4")


def test_check_says_so_when_the_bytes_come_back_changed(storage, root):
    """A disk that lies is found out by doctor."""

    class Lying(type(storage)):
        def open(self, key, **part):
            (path,) = (root / "check").iterdir()
            path.write_bytes(b"other")
            return super().open(key, **part)

    with pytest.raises(StorageError, match="other bytes than it was given"):
        Lying(root, storage.url).check()
