"""Jobs on disk, so that they survive a restart: one SQLite file, one row a job."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator.sandbox.job import Failure, Job
from orchestrator.sandbox.scene import Look


class Journal:
    """Writes and reads whole jobs. The caller keeps its threads apart."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "jobs.sqlite3", check_same_thread=False)
        # A lost second after a power cut is in the nature of a provider; a slow create is not.
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = off")
        self._connection.execute(
            "create table if not exists jobs"
            " (position integer primary key, id text unique, body text)"
        )
        self._connection.commit()

    def write(self, jobs: Sequence[Job]) -> None:
        """Keep these jobs, each new or changed."""
        with self._connection:
            self._connection.executemany(
                "insert into jobs (id, body) values (?, ?)"
                " on conflict (id) do update set body = excluded.body",
                [(job.id, json.dumps(asdict(job))) for job in jobs],
            )

    def read(self) -> Iterator[Job]:
        """All jobs in the order of their acceptance."""
        for (body,) in self._connection.execute(
            "select body from jobs order by position"
        ).fetchall():
            fields = json.loads(body)
            look = fields.pop("look")
            palette = tuple(tuple(colour) for colour in look.pop("palette"))
            failure = fields.pop("failure")
            yield Job(
                **fields,
                look=Look(**look, palette=palette),
                failure=Failure(**failure) if failure else None,
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
