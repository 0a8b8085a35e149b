"""The sandbox as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAM = """
import sys
from pathlib import Path
from orchestrator.sandbox.server import serve
from orchestrator.sandbox.settings import SandboxSettings
settings = SandboxSettings(data=Path(sys.argv[1]), render_seconds=0.1)
serve(settings, "127.0.0.1", 0, ready=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_stops_at_once_when_told_to_while_it_renders(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A long rendering does not hold up the end, which is a clean one."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        connection = HTTPConnection(urlsplit(base_url).netloc, timeout=30)
        body = '{"prompt": "a very large cat", "seconds": "60", "size": "2048x2048"}'
        connection.request("POST", "/v1/videos", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()

        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    assert (status, code) == (200, 0)
    assert time.monotonic() - began < 10
