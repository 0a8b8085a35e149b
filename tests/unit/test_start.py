"""What a process does not need it does not load: starting takes less than a second."""

import subprocess
import sys

import pytest

HEAVY = {
    "celery",
    "kombu",
    "flask",
    "openai",
    "av",
    "PIL",
    "psycopg2",
    "granian",
    "orchestrator.cli",
}
NEEDED = {
    "api": {"flask"},
    "api.asgi": {"flask"},
    "workers.app": {"celery", "kombu"},
    "workers.scheduler": set(),
}


@pytest.mark.parametrize("module", NEEDED)
def test_process_loads_no_heavy_library_that_it_does_not_need(module):
    """A provider's SDK waits for its first call, Celery for a worker, Flask for a server."""
    script = f"import sys, {module}; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    assert NEEDED[module] == HEAVY & set(loaded)
