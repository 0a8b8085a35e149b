"""Children on a leash, and folders with one owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.process import FolderLock, end, evict, inhabitants, spawn

PATIENCE = 20.0
PARENT = """
import sys, time
from pathlib import Path
from orchestrator.local.process import spawn
with open(sys.argv[1], "wb") as output:
    child = spawn(["sleep", "600"], env={"PATH": "/usr/bin:/bin"}, output=output)
print(child.pid, flush=True)
time.sleep(600)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time; processes end when the kernel gets to it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie, which init has not yet buried, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start(tmp_path: Path, *argv: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    with (tmp_path / "output").open("wb") as output:
        return spawn(argv, env={"PATH": os.defpath, "NAME": "value"}, output=output, cwd=cwd)


def test_spawn_hands_on_its_environment_only(tmp_path: Path) -> None:
    """The child sees what it was given and nothing of ours."""
    process = start(tmp_path, sys.executable, "-c", "import os; print(sorted(os.environ))")

    assert process.wait(PATIENCE) == 0
    assert "NAME" in (tmp_path / "output").read_text()
    assert "HOME" not in (tmp_path / "output").read_text()


def test_child_when_its_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to clear up, and still its child ends; also where the
    parent dies before the kernel was asked to tell.
    """
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "output")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())

        parent.kill()

    assert eventually(lambda: not alive(child))


def test_end_when_the_child_listens(tmp_path: Path) -> None:
    """The first signal is enough."""
    process = start(tmp_path, "sleep", "600")

    assert -signal.SIGTERM == end(process, ((signal.SIGTERM, PATIENCE),))


def test_end_when_the_child_is_deaf(tmp_path: Path) -> None:
    """A child that ignores every signal is killed, and so is what it started."""
    script = "trap '' TERM; sleep 600 & echo $! > grandchild; while :; do wait; done"
    process = start(tmp_path, "sh", "-c", script, cwd=tmp_path)
    noted = tmp_path / "grandchild"
    assert eventually(lambda: noted.exists() and noted.read_text().strip() != "")

    status = end(process, ((signal.SIGTERM, 0.1),))

    assert -signal.SIGKILL == status
    assert eventually(lambda: not alive(int(noted.read_text())))


def test_end_when_the_child_has_ended(tmp_path: Path) -> None:
    """Its own status is returned."""
    process = start(tmp_path, "sh", "-c", "exit 3")
    process.wait(PATIENCE)

    assert end(process, ((signal.SIGTERM, PATIENCE),)) == 3


def test_evict_when_a_process_lives_in_the_folder(tmp_path: Path) -> None:
    """It is asked to end, and gone when the call returns."""
    home = tmp_path / "home"
    home.mkdir()
    process = start(tmp_path, "sleep", "600", cwd=home)
    assert [process.pid] == list(inhabitants(home))

    evict(home, signal.SIGTERM, PATIENCE)

    assert [] == list(inhabitants(home))
    assert -signal.SIGTERM == process.wait(PATIENCE)


def test_evict_when_the_process_is_deaf(tmp_path: Path) -> None:
    """It is killed when patience ends."""
    home = tmp_path / "home"
    home.mkdir()
    process = start(tmp_path, "sh", "-c", "trap '' TERM; touch ready; read x < /dev/zero", cwd=home)
    assert eventually((home / "ready").exists)

    evict(home, signal.SIGTERM, 0.1)

    assert -signal.SIGKILL == process.wait(PATIENCE)


def test_lock_when_somebody_has_it(tmp_path: Path) -> None:
    """The second comer is told who the first is."""
    with (
        FolderLock(tmp_path),
        pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"),
    ):
        FolderLock(tmp_path).acquire()


def test_lock_when_it_was_released(tmp_path: Path) -> None:
    """The next one gets it, and a release without a lock is harmless."""
    with FolderLock(tmp_path):
        pass

    second = FolderLock(tmp_path)
    second.acquire()
    second.release()
    second.release()


def test_lock_when_the_folder_is_new(tmp_path: Path) -> None:
    """The folder is made with all that lies above it."""
    with FolderLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
