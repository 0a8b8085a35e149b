"""Other systems that accept work durably, run it (here: nothing) and record that it is done.

Each has an environment of its own in `.bench/peers`, made when it is first needed; who cannot be
installed is left out, with the reason.
"""

from __future__ import annotations

from functools import partial

from bench.measurement import Contestant
from bench.peers import queues, restate
from bench.stage import Stage

PGQUEUER = "pgqueuer"
PROCRASTINATE = "Procrastinate"
DBOS = "DBOS queue"
RESTATE = "Restate"


def contestants(stage: Stage, number: int, concurrent: int) -> list[Contestant]:
    """The peers, each with so many jobs from as many clients at once."""
    found = [
        Contestant(name, partial(queues.run, stage, program, number, concurrent))
        for name, program in (
            (PGQUEUER, "pgqueuer"),
            (PROCRASTINATE, "procrastinate"),
            (DBOS, "dbos"),
        )
    ]
    return [*found, Contestant(RESTATE, partial(restate.run, stage, number, concurrent))]
