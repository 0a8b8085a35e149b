"""Child processes that never outlive us, and folders that only one of us uses.

`spawn` puts a child on a leash: its own process group, so that Ctrl-C in a terminal reaches only
the supervisor and one signal reaches a child with all its own children; and the kernel signals it
when we die, even by SIGKILL. The kernel watches the *thread* that started the child, so start
children from one that lives as long as they shall.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from orchestrator.errors import ConfigurationError

# The kernel tells nothing to a child whose parent died before the leash was on: it must look.
_UNLESS_ORPHANED = ("/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


def spawn(
    argv: Iterable[str | Path],
    *,
    env: Mapping[str, str],
    output: IO[bytes],
    leash: signal.Signals = signal.SIGTERM,
    privileges: Sequence[str] = (),
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` with exactly the environment `env`, standard output and error going to `output`.

    `leash` is the signal that the child gets when we die (Linux; elsewhere it gets none).
    `privileges` are options of setpriv(1) that make it somebody else.
    """
    setpriv = shutil.which("setpriv")
    name = leash.name.removeprefix("SIG")
    prefix = (
        [setpriv, "--pdeathsig", name, *privileges, *_UNLESS_ORPHANED, str(os.getpid())]
        if setpriv
        else []
    )
    if privileges and not setpriv:
        raise ConfigurationError("setpriv (of util-linux) is needed to run a database as root")
    return subprocess.Popen(
        [*prefix, *map(str, argv)],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> int:
    """Send each signal and wait that many seconds, until the child has ended; SIGKILL is the last.

    Whatever is left of its process group is killed too. Returns the exit status, negative for a
    signal as `subprocess` has it.
    """
    for number, patience in steps:
        if process.poll() is not None:
            break
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's process group, the child included."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def inhabitants(folder: Path) -> Iterator[int]:
    """Process ids that have `folder` as their working directory, as database servers do (Linux)."""
    home = str(folder.resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry / "cwd") == home:
                yield int(entry.name)


def evict(folder: Path, number: signal.Signals, patience: float) -> None:
    """End the servers that a killed supervisor left in `folder`: `number`, then SIGKILL.

    The caller must hold the folder's lock, so that nobody's living server is meant.
    """
    deadline = time.monotonic() + patience
    for pid in inhabitants(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    while remaining := list(inhabitants(folder)):
        if time.monotonic() > deadline:
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


class FolderLock:
    """One owner at a time for a folder, among all processes of this machine.

    The kernel drops the lock when its owner ends, however it ends, so none can be left behind.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock. Raises ConfigurationError that names the process which has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise ConfigurationError(f"{self.folder} is in use by process {owner}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; harmless without one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
