"""Peers that are queues in PostgreSQL: clients and worker are programs of theirs."""

from __future__ import annotations

import subprocess

from bench.measurement import Skipped
from bench.metrics import Metrics
from bench.peers.environment import PROGRAMS, python
from bench.stage import Stage

_PATIENCE_SECONDS = 600


def run(stage: Stage, name: str, number: int, concurrent: int) -> Metrics:
    """From the first job that is handed in to the last one that is done.

    Raises:
        Skipped: it cannot be installed, or does not work here.
    """
    interpreter = python(name)
    url = stage.database(f"peer_{name}")
    stage.settle()
    try:
        done = subprocess.run(
            [interpreter, PROGRAMS / f"run_{name}.py", url, str(number), str(concurrent)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Skipped(f"{name} did not get done with {number} jobs") from None
    if done.returncode != 0:
        raise Skipped(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return {"per_second": number / float(done.stdout.split()[-1])}
