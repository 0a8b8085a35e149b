"""Where measurements happen: a PostgreSQL and a Valkey of their own, as durable as in production,
and the programs of the product on top.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg2

from bench.child import Child, answers
from bench.load.generator import Generator
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.local.ports import free_port
from orchestrator.local.postgres import DATABASE, EmbeddedPostgres
from orchestrator.local.valkey import EmbeddedValkey

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / ".bench"
"""On the disk of the checkout: /tmp is memory on many machines, and its fsync costs nothing."""
NOWHERE = "http://127.0.0.1:1/v1"
_SEED = """
insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account,
  fingerprint, quota_period, quota_state, finished_at, seq)
select 'video_' || replace(uuidv7()::text, '-', ''), 'seed-' || n % 100, 'sora-2', 'failed',
  'seed', '720x1280', '4', 'openai', 'default', n::text, now(), 'released', now(), 1
from generate_series(1, 10000) n;
insert into video_events (video_id, event_type, seq, user_id)
select id, 'created', 1, user_id from videos"""


@dataclass(frozen=True, slots=True)
class Web:
    """A web server under measurement."""

    port: int
    child: Child


class Stage:
    """Runs its services until the block ends. What they wrote stays in `folder`, which is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o711)  # root runs PostgreSQL as somebody else, who must get through
        self._postgres = self._stack.enter_context(EmbeddedPostgres(self.folder / "postgres"))
        self.redis_url = self._stack.enter_context(EmbeddedValkey(self.folder / "valkey")).url
        self.generator = Generator(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def database(self, name: str) -> str:
        """A new database with our schema, some thousand rows and fresh statistics; its URL.

        An empty table would do nobody justice: its first plans stay in use long after it has grown.
        """
        self.sql(self._postgres.url, f"drop database if exists {name}", f"create database {name}")
        url = self._postgres.url.replace(f"/{DATABASE}?", f"/{name}?")
        database = Database(url)
        migrate(database)
        database.close()
        self.sql(url, _SEED, "vacuum analyze")
        return url

    def sql(self, url: str, *statements: str) -> None:
        """Run these, each for itself."""
        for statement in statements:
            self.query(url, statement)

    def query(
        self,
        url: str,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run this; the rows that it returns."""
        connection = psycopg2.connect(url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def settle(self) -> None:
        """Bring to disk what is not there yet, so that one contestant does not pay for another."""
        self.sql(self._postgres.url, "checkpoint")

    def environment(self, database_url: str, **changes: str) -> dict[str, str]:
        """For a program of the product, as in production: keys, idempotency, logs."""
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database_url,
            "REDIS_URL": self.redis_url,
            "OPENAI_BASE_URL": NOWHERE,
            "PROVIDER_PROFILE": "sandbox",
            "STORAGE_URL": (self.folder / "videos").as_uri(),
            "AUTH": "keys",
            "SECRET_KEY": "bench",
            "LOG_FORMAT": "json",
            **changes,
        }

    @contextmanager
    def program(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Child]:
        """A Python module as a process, until the block ends."""
        log = self.folder / "logs" / f"{name}.log"
        with Child([sys.executable, "-m", *argv], env, log) as child:
            yield child

    @contextmanager
    def web(
        self, database_url: str, *, processes: int, module: str = "api", **changes: str
    ) -> Iterator[Web]:
        """A web server that is ready: the product's, or another `module` with the same settings."""
        port = free_port()
        env = self.environment(
            database_url, PORT=str(port), WEB_PROCESSES=str(processes), **changes
        )
        with self.program(f"web-{module}", [module], env) as child:
            child.wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
            yield Web(port, child)

    @contextmanager
    def worker(
        self,
        env: Mapping[str, str],
        *,
        name: str = "worker",
        app: str = "workers.app",
        queues: str = "",
        pool: str = "threads",
        concurrency: int = 50,
    ) -> Iterator[Child]:
        """A worker that takes messages: of all queues, or of these (with commas)."""
        argv = ["celery", "-A", app, "worker", "--pool", pool, "--concurrency", str(concurrency)]
        argv += ["--hostname", f"{name}@%h", "--without-gossip", "--without-mingle"]
        argv += ["--loglevel", "INFO", *(["--queues", queues] if queues else [])]
        with self.program(name, argv, env) as child:
            child.wait_until(lambda: " ready" in child.log.read_text(errors="replace"))
            yield child

    @contextmanager
    def scheduler(self, env: Mapping[str, str]) -> Iterator[Child]:
        """The scheduler."""
        with self.program("scheduler", ["workers.scheduler"], env) as child:
            yield child
