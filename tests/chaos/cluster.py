"""A whole installation of real processes that a test can hurt: each part can be killed, stopped and
started again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import psutil
import psycopg2
import redis

from orchestrator.context import build
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.errors import OrchestratorError
from orchestrator.local.ports import free_port
from orchestrator.local.postgres import EmbeddedPostgres
from orchestrator.local.program import Program
from orchestrator.local.valkey import EmbeddedValkey
from orchestrator.settings import load
from tests.chaos.client import Client
from tests.chaos.provider import Provider
from tests.chaos.verdict import Verdict

# Every clock as short as it can be while still being longer than what it waits for.
CLOCKS = {
    "LEASE_SECONDS": "3",
    "RETRY_BASE_SECONDS": "0.2",
    "POLL_MIN_SECONDS": "0.5",
    "RECONCILE_GRACE_SECONDS": "1.5",
    "MISSING_GRACE_SECONDS": "6",
    "VIDEO_DEADLINE_SECONDS": "90",
    "START_TIMEOUT_SECONDS": "300",
    # Nobody gives up because of how often chaos strikes one video.
    "MAX_ATTEMPTS": "20",
}
CREATE_SECONDS, READ_SECONDS = 3.0, 2.0
"""How long we wait for the provider's answer: what takes longer is a timeout of ours."""
PROVIDERS = """
[providers.main]
profile = "{profile}"
base_url = "{url}/v1"
api_key = "sandbox"
create_timeout = {create}
read_timeout = {read}
"""


class Cluster:
    """PostgreSQL, Valkey, a sandbox provider that speaks the dialect of `profile`, web, workers and
    schedulers in `folder`. Counts what is done to it in `happened`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        schedulers: int = 1,
        render_seconds: float = 1,
        create_seconds: float = CREATE_SECONDS,
        profile: str = "sandbox",
        env: Mapping[str, str] | None = None,
    ):
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.programs: dict[str, Program] = {}
        self.happened: Counter[str] = Counter()
        self._workers, self._schedulers = workers, schedulers
        self._render_seconds, self._create_seconds = render_seconds, create_seconds
        self._profile = profile
        self._extra = dict(env or {})
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        taken: set[int] = set()
        web, sandbox = _port(taken), _port(taken)
        self.web_url = f"http://127.0.0.1:{web}"
        self.client = Client(self.web_url, self._profile)
        self.provider = Provider(f"http://127.0.0.1:{sandbox}")
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self.postgres.start(),
            "REDIS_URL": self.valkey.start(),
            "PROVIDERS_FILE": str(self._write_providers()),
            "STORAGE_URL": (self.folder / "videos").as_uri(),
            "AUTH": "off",
            "HOST": "127.0.0.1",
            "PORT": str(web),
            **CLOCKS,
            **self._extra,
        }
        database = Database(self.env["DATABASE_URL"])
        migrate(database)
        database.close()
        ctx = build(load(self.env), application="chaos")
        self._opened.callback(ctx.close)
        self.verdict = Verdict(ctx, self.provider, self.client.accepted)
        self._add("sandbox", *self._sandbox_command(sandbox))
        self._add("web", "orchestrator", "web")
        for number in range(1, self._schedulers + 1):
            self._add(f"scheduler-{number}", "orchestrator", "scheduler")
        for number in range(1, self._workers + 1):
            self._add(f"worker-{number}", *worker_command(f"worker-{number}"))
        for program in self.programs.values():
            program.start()
        self._wait_until_ready()

    def _write_providers(self) -> Path:
        path = self.folder / "providers.toml"
        path.write_text(
            PROVIDERS.format(
                profile=self._profile,
                url=self.provider.url,
                create=self._create_seconds,
                read=READ_SECONDS,
            )
        )
        return path

    def _sandbox_command(self, port: int) -> tuple[str, ...]:
        return (
            *("orchestrator", "sandbox", "--host", "127.0.0.1", "--port", str(port)),
            *("--data", str(self.folder / "sandbox"), "--dialect", self._profile),
            *("--instant-video", "--render-seconds", str(self._render_seconds)),
        )

    def add(self, name: str, *command: str) -> None:
        """One more program, started at once."""
        self._add(name, *command)
        self.programs[name].start()

    def _add(self, name: str, *command: str) -> None:
        argv = [sys.executable, "-m", *command]
        self.programs[name] = Program(name, argv, self.env, self.folder / "logs")

    def _wait_until_ready(self) -> None:
        self.wait_for(self.provider.url, path="/v1/models")
        self.wait_for(self.web_url)

    def wait_for(self, url: str, *, path: str = "/readyz") -> None:
        """Wait until a server answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(url + path, timeout=10),
            ):
                return
            time.sleep(0.1)
        raise AssertionError({name: p.last_words() for name, p in self.programs.items()})

    def stop(self) -> None:
        """Stop everything; nothing stays behind."""
        for program in reversed(self.programs.values()):
            program.kill()
            program.stop()
        self._opened.close()
        self.valkey.stop()
        self.postgres.stop()

    # What can be done to it ---------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again, as a supervisor would."""
        self._count(name, "killed")
        self.programs[name].kill()
        self.programs[name].stop()
        self.programs[name].start()

    def restart(self, name: str) -> None:
        """SIGTERM, wait, start again: a deploy."""
        self._count(name, "terminated")
        self.programs[name].stop()
        self.programs[name].start()

    def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP, and on again: longer than a lease lasts, perhaps in the middle of a call."""
        for process in psutil.Process().children():
            if tuple(process.cmdline()) == self.programs[name].argv:
                process.suspend()
                time.sleep(seconds)
                process.resume()
                self._count(name, "paused")

    def restart_provider(self) -> None:
        """The provider is killed, is away for a moment, and remembers."""
        self.happened["provider killed"] += 1
        self.provider.note()
        self.programs["sandbox"].kill()
        self.programs["sandbox"].stop()
        time.sleep(0.5)
        self.programs["sandbox"].start()
        self.wait_for(self.provider.url, path="/v1/models")

    def revive(self) -> None:
        """Start again whatever has ended by itself."""
        for program in self.programs.values():
            if program.poll() is not None:
                program.start()

    def kill_valkey(self) -> None:
        """SIGKILL and start again, with what its disk still has."""
        self.happened["Valkey killed"] += 1
        self.valkey.kill()
        self.valkey.stop()
        self.valkey.start()

    def wipe_valkey(self) -> None:
        """Everything in Redis is gone: queues, cache, throttles."""
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            client.flushall()
        self.happened["Valkey wiped"] += 1

    def pause_valkey(self, seconds: float) -> None:
        """Valkey hangs: it neither answers nor refuses."""
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)
        self.happened["Valkey paused"] += 1

    def restart_postgres(self) -> None:
        """PostgreSQL goes away and comes back."""
        self.happened["PostgreSQL restarted"] += 1
        self.postgres.stop()
        self.postgres.start()

    def drop_connections(self) -> None:
        """Every connection to PostgreSQL breaks."""
        connection = psycopg2.connect(self.env["DATABASE_URL"])
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )
            self.happened["PostgreSQL connections dropped"] += cursor.rowcount
        connection.close()

    def forget(self) -> None:
        """The provider loses every job."""
        self.happened["provider forgot"] += 1
        self.provider.forget()

    def _count(self, name: str, what: str) -> None:
        self.happened[f"{name.partition('-')[0]} {what}"] += 1

    def wait_until_settled(
        self, seconds: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Counter[str]:
        """Wait until nothing is under way. Returns how the accepted videos ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.revive()
            with contextlib.suppress(OrchestratorError):
                meanwhile()
                if self.verdict.settled():
                    break
            time.sleep(0.3)
        return self.verdict.endings()


def worker_command(name: str, app: str = "workers.app") -> tuple[str, ...]:
    """How a worker is started."""
    return (
        *("celery", "-A", app, "worker", "--pool", "threads", "--concurrency", "16"),
        *("--hostname", f"{name}@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    )


def _port(taken: set[int]) -> int:
    while (port := free_port()) in taken:
        pass
    taken.add(port)
    return port
