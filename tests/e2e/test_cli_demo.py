"""What a newcomer does first: `orchestrator demo`, another terminal beside it, Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.media import sniff

pytestmark = pytest.mark.timeout(400)  # seven cold Python processes, and two videos

PROGRAM = (sys.executable, "-m", "orchestrator")
PATIENCE = 300.0


def settings_in(folder: Path) -> dict[str, str]:
    """What another terminal gets by reading the file that the panel names."""
    lines = shlex.split((folder / "environment").read_text())
    return dict(word.split("=", 1) for word in lines if "=" in word)


def run(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env=dict(env), capture_output=True, text=True, check=False
    )


def wait_for(text: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_both_videos_are_made_when_the_demo_runs(service_folder: Path, tmp_path: Path) -> None:
    """Two MP4s, a running system that other terminals can use, and a clean end by Ctrl-C."""
    folder, out, log = service_folder / "a demo", tmp_path / "out", tmp_path / "log"
    bare = {"PATH": os.environ["PATH"], "PORT": "0", "FLOWER_PORT": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*PROGRAM, "demo", "--data", str(folder), "--out", str(out)],
            env=bare,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for("stays up until Ctrl-C", log, process)
        env = bare | settings_in(folder)
        doctor = run("doctor", env=env)
        listed = run("list", "--status", "completed", env=env)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.terminate()
        process.wait(60)

    assert 0 == process.returncode, log.read_text()
    assert 0 == doctor.returncode, doctor.stdout
    assert 1 + 2 == len(listed.stdout.splitlines())
    films = sorted(out.iterdir())
    assert ["paper-boat-remix.mp4", "paper-boat.mp4"] == [film.name for film in films]
    assert {"video/mp4"} == {sniff(film.read_bytes()[:64]) for film in films}
    assert not (folder / "environment").exists()
    for name in ("Dashboard", "API docs", "Flower"):
        assert name in log.read_text()
