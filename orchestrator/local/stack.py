"""Everything that the product needs, on one machine: what `orchestrator up` and `demo` start."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias

from orchestrator.errors import ConfigurationError
from orchestrator.local import wiring
from orchestrator.local.ports import free_port
from orchestrator.local.postgres import EmbeddedPostgres
from orchestrator.local.process import FolderLock
from orchestrator.local.program import Program
from orchestrator.local.secret import kept_secret
from orchestrator.local.supervisor import Supervisor
from orchestrator.local.valkey import EmbeddedValkey

READY_SECONDS = 120.0
"""A cold start of seven Python processes on a busy laptop takes a while."""

_HOPELESS_FALLS = 3

FLOWER_OPTIONS = (
    "--read-only",
    "--max-tasks=5000",
    "--max-workers=500",
    "--purge-offline-workers=60",
    "--tasks-columns=name,args,state,received,started,runtime,worker",
)
"""It changes nothing and forgets in time; arguments, which are ids, are shown. As in the
Procfile.
"""

Starting: TypeAlias = tuple[Program, Callable[[], bool]]
"""What has been started, and whether it is of use by now."""


class Stack:
    """One supervised stack with its data in `folder`; `with Stack(folder, env) as stack: …`.

    `env` is the environment to complete: services that it names are used, the others started.
    `notice` gets sentences that should stay visible (a port in use, a restart), `phase` what is
    being waited for. Raises ConfigurationError on start, with nothing left running.
    """

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        *,
        workers: int = 1,
        flower: bool = True,
        notice: Callable[[str], None] = lambda _: None,
        phase: Callable[[str], None] = lambda _: None,
    ):
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.env: dict[str, str] = dict(env)
        self.web_url = ""
        self.flower_url: str | None = None
        self.flower_password: Path | None = None
        self.sandbox_url: str | None = None
        self._workers = workers
        self._flower = flower
        self._notice = notice
        self._phase = phase
        self._taken: set[int] = set()
        self._lock = FolderLock(self.folder)
        self._supervisor: Supervisor | None = None

    def start(self) -> None:
        """Start everything and return once a video can be asked for."""
        self._lock.acquire()
        try:
            lacks = wiring.Lacks.of(self.env)
            self.env = wiring.common_environment(self.env, self.folder)
            self._supervisor = Supervisor(self._notice)
            self._start_services(self._supervisor, lacks)
            self._choose_port()
            # Python programs keep one core busy while they start, so what can overlaps.
            starting = self._start_provider(self._supervisor) if lacks.provider else []
            self._migrate()
            starting += self._start_programs(self._supervisor)
            for program, ready in starting:
                self._phase(f"starting {program.name}")
                self._wait(ready, program)
            if self._flower:
                # Last: no video waits for a page about workers.
                self._supervisor.start(self._flower_program())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, programs before the services they use; harmless if nothing runs."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
        self._lock.release()

    def _start_services(self, supervisor: Supervisor, lacks: wiring.Lacks) -> None:
        if lacks.postgres:
            self._phase("starting PostgreSQL")
            postgres = EmbeddedPostgres(self.folder / "postgres")
            supervisor.start(postgres)
            self.env["DATABASE_URL"] = postgres.url
        if lacks.valkey:
            self._phase("starting Valkey")
            valkey = EmbeddedValkey(self.folder / "valkey")
            supervisor.start(valkey)
            self.env["REDIS_URL"] = valkey.url

    def _choose_port(self) -> None:
        """Not before the services run: by then a stack that was killed a moment ago may have let go
        of its own.
        """
        host = self.env["HOST"]
        port = self._port("web", wiring.port_of(self.env, "PORT", wiring.DEFAULT_PORT), host)
        self.env["PORT"] = str(port)
        self.web_url = wiring.local_url(host, port)

    def _start_provider(self, supervisor: Supervisor) -> list[Starting]:
        """The sandbox, which tells web when a video is done."""
        port = self._port("sandbox", wiring.DEFAULT_SANDBOX_PORT, "127.0.0.1")
        self.env |= wiring.provider_environment(self.env, port, self.folder)
        sandbox = self._program(
            "sandbox",
            *("orchestrator", "sandbox", "--host", "127.0.0.1"),
            *("--port", str(port), "--data", str(self.folder / "sandbox")),
            *("--webhook-url", f"{self.web_url}/webhooks/openai"),
            *("--webhook-secret", self.env["OPENAI_WEBHOOK_SECRET"]),
        )
        supervisor.start(sandbox)
        self.sandbox_url = wiring.local_url("127.0.0.1", port)
        return [(sandbox, partial(_answers, f"{self.sandbox_url}/v1/models"))]

    def _start_programs(self, supervisor: Supervisor) -> list[Starting]:
        web = self._program("web", "api")
        workers = [self._worker(number) for number in range(1, self._workers + 1)]
        supervisor.start(web, *workers, self._program("scheduler", "workers.scheduler"))
        return [
            (web, partial(_answers, f"{self.web_url}/readyz")),
            *((worker, partial(_consumes, worker)) for worker in workers),
        ]

    def _worker(self, number: int) -> Program:
        name = "worker" if self._workers == 1 else f"worker-{number}"
        return self._program(
            name,
            *("celery", "-A", "workers.app", "worker", "--pool", "threads"),
            *("--concurrency", wiring.named(self.env, "WORKER_CONCURRENCY") or "50"),
            *("--hostname", f"{name}@%h", "--without-gossip", "--without-mingle"),
            *("--loglevel", "INFO"),
        )

    def _flower_program(self) -> Program:
        wished = wiring.port_of(self.env, "FLOWER_PORT", wiring.DEFAULT_FLOWER_PORT)
        port = self._port("Flower", wished, "127.0.0.1")
        self.env["FLOWER_PORT"] = str(port)
        if wiring.wants_password(self.env):
            self.flower_password = self.folder / "flower-password"
            self.env["FLOWER_BASIC_AUTH"] = f"admin:{kept_secret(self.flower_password)}"
        prefix = wiring.named(self.env, "FLOWER_URL_PREFIX").strip("/")
        self.flower_url = f"{wiring.local_url('127.0.0.1', port)}{f'/{prefix}' if prefix else ''}"
        return self._program(
            "flower",
            *("celery", "-A", "workers.app", "flower", "--address=127.0.0.1", f"--port={port}"),
            *FLOWER_OPTIONS,
        )

    def _program(self, name: str, *module_and_arguments: str) -> Program:
        return Program(name, [sys.executable, "-m", *module_and_arguments], self.env, self.logs)

    def _port(self, name: str, wished: int, host: str) -> int:
        port = free_port(wished, host, taken=frozenset(self._taken))
        self._taken.add(port)
        if wished not in {0, port}:
            self._notice(f"port {wished} is in use: {name} listens on {port}")
        return port

    def _migrate(self) -> None:
        self._phase("creating the tables")
        migrate = self._program("migrate", "orchestrator", "migrate")
        migrate.start()
        try:
            self._wait(lambda: migrate.poll() is not None, migrate)
            if migrate.poll() != 0:
                raise ConfigurationError(f"the tables were not created: {migrate.last_words()}")
        finally:
            migrate.stop()

    def _wait(self, ready: Callable[[], bool], program: Program) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if program.starts >= _HOPELESS_FALLS or time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{program.name} does not get ready; its log ends: {program.last_words()}"
                )
            time.sleep(0.1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - an address of ours
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _consumes(worker: Program) -> bool:
    """Whether Celery has logged that it is connected to the broker and takes messages."""
    return " ready" in worker.output()
