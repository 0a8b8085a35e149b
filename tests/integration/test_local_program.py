"""Our own commands as supervised children."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from orchestrator.local.program import LOG_BYTES, Program
from orchestrator.local.supervisor import Supervisor

PATIENCE = 20.0


def program(logs: Path, code: str) -> Program:
    return Program("talker", [sys.executable, "-c", code], {"PATH": os.defpath}, logs)


def wait_for_end(child: Program) -> int | None:
    """Its exit status; `poll` says it once it has ended."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if child.poll() is not None:
            break
        pause.wait(0.02)
    return child.poll()


def test_program_writes_to_its_log(tmp_path: Path) -> None:
    """Standard output and error end up in the file that bears its name."""
    child = program(tmp_path / "logs", "import sys; print('out'); print('err', file=sys.stderr)")

    child.start()

    assert wait_for_end(child) == 0
    child.stop()
    assert child.log == tmp_path / "logs" / "talker.log"
    assert {"out", "err"} == set(child.log.read_text().split())


def test_output_after_a_second_start(tmp_path: Path) -> None:
    """Only what was written since counts, while the log keeps everything."""
    child = program(tmp_path, "print('hello')")
    for _ in range(2):
        child.start()
        wait_for_end(child)

    assert "hello" == child.output().strip()
    assert "hello | hello" == child.last_words()
    assert 2 == child.starts
    child.stop()


def test_log_when_it_has_grown_large(tmp_path: Path) -> None:
    """It is put aside before the next start."""
    child = program(tmp_path, "print('hello')")
    child.log.write_bytes(b"x" * (LOG_BYTES + 1))

    child.start()
    wait_for_end(child)
    child.stop()

    assert "hello\n" == child.log.read_text()
    assert (tmp_path / "talker.log.1").stat().st_size == LOG_BYTES + 1


def test_program_when_it_ends_by_itself(tmp_path: Path) -> None:
    """The supervisor starts it again."""
    restarted = threading.Event()
    child = program(tmp_path, "print('hello')")
    supervisor = Supervisor(
        lambda report: restarted.set() if "is running again" in report else None, backoff=(0.0,)
    )

    supervisor.start(child)

    assert restarted.wait(PATIENCE)
    supervisor.stop()
    assert child.starts > 1
    assert child.poll() is None


def test_kill_while_a_stop_waits(tmp_path: Path) -> None:
    """A child that takes its time ends at once, and the stop with it."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)"
    child = program(tmp_path, f"{code}; time.sleep(600)")
    child.start()
    pause = threading.Event()
    while "deaf" not in child.output():
        pause.wait(0.02)
    stopping = threading.Thread(target=child.stop)
    stopping.start()

    child.kill()

    stopping.join(PATIENCE)
    assert not stopping.is_alive()
