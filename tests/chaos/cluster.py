"""A whole installation of real processes that a test can hurt: each part can be killed, stopped and
started again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg2
import redis

from orchestrator import invariants
from orchestrator.context import Context, build
from orchestrator.db.engine import Database
from orchestrator.db.schema import migrate
from orchestrator.invariants import Violation
from orchestrator.local.ports import free_port
from orchestrator.local.postgres import EmbeddedPostgres
from orchestrator.local.program import Program
from orchestrator.local.valkey import EmbeddedValkey
from orchestrator.settings import load

TERMINAL = {"completed", "failed", "cancelled", "deleted"}
# Every clock as short as it can be while still being longer than what it waits for.
CLOCKS = {
    "LEASE_SECONDS": "3",
    "RETRY_BASE_SECONDS": "0.2",
    "POLL_MIN_SECONDS": "0.5",
    "RECONCILE_GRACE_SECONDS": "1.5",
    "MISSING_GRACE_SECONDS": "6",
    "VIDEO_DEADLINE_SECONDS": "90",
    "START_TIMEOUT_SECONDS": "300",
}


class Cluster:
    """PostgreSQL, Valkey, a sandbox provider, web, workers and schedulers in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        schedulers: int = 1,
        sandbox: tuple[str, ...] = ("--instant-video", "--render-seconds", "1"),
        profile: str = "sandbox",
        env: Mapping[str, str] | None = None,
    ):
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.valkey = EmbeddedValkey(folder / "valkey")
        self.programs: dict[str, Program] = {}
        self.accepted: dict[str, str] = {}
        self._workers, self._schedulers = workers, schedulers
        self._sandbox, self._profile = sandbox, profile
        self._extra = dict(env or {})
        self._ctx: Context | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        taken: set[int] = set()
        web, provider = _port(taken), _port(taken)
        self.web_url = f"http://127.0.0.1:{web}"
        self.sandbox_url = f"http://127.0.0.1:{provider}"
        self.env = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self.postgres.start(),
            "REDIS_URL": self.valkey.start(),
            "OPENAI_BASE_URL": f"{self.sandbox_url}/v1",
            "OPENAI_API_KEY": "sandbox",
            "PROVIDER_PROFILE": self._profile,
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
        self._ctx = build(load(self.env), application="chaos")
        at = ("--host", "127.0.0.1", "--port", str(provider))
        self._add("sandbox", "orchestrator", "sandbox", *at, *self._sandbox)
        self._add("web", "orchestrator", "web")
        for number in range(1, self._schedulers + 1):
            self._add(f"scheduler-{number}", "orchestrator", "scheduler")
        for number in range(1, self._workers + 1):
            self._add(f"worker-{number}", *worker_command(f"worker-{number}"))
        for program in self.programs.values():
            program.start()
        self._wait_until_ready()

    def add(self, name: str, *command: str) -> None:
        """One more program, started at once."""
        self._add(name, *command)
        self.programs[name].start()

    def _add(self, name: str, *command: str) -> None:
        argv = [sys.executable, "-m", *command]
        self.programs[name] = Program(name, argv, self.env, self.folder / "logs")

    def _wait_until_ready(self) -> None:
        self.wait_for(f"{self.sandbox_url}/v1/models", path="")
        self.wait_for(self.web_url)

    def wait_for(self, url: str, *, path: str = "/readyz") -> None:
        """Wait until a server answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._get(url + path)
                return
            time.sleep(0.1)
        raise AssertionError({name: p.last_words() for name, p in self.programs.items()})

    def stop(self) -> None:
        """Stop everything; nothing stays behind."""
        for program in reversed(self.programs.values()):
            program.kill()
            program.stop()
        if self._ctx is not None:
            self._ctx.close()
        self.valkey.stop()
        self.postgres.stop()

    # What can be done to it ---------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL, and start it again, as a supervisor would."""
        self.programs[name].kill()
        self.programs[name].stop()
        self.programs[name].start()

    def restart(self, name: str) -> None:
        """SIGTERM, wait, start again: a deploy."""
        self.programs[name].stop()
        self.programs[name].start()

    def revive(self) -> None:
        """Start again whatever has ended by itself."""
        for program in self.programs.values():
            if program.poll() is not None:
                program.start()

    def kill_valkey(self) -> None:
        """SIGKILL and start again, with what its disk still has."""
        self.valkey.kill()
        self.valkey.stop()
        self.valkey.start()

    def wipe_valkey(self) -> None:
        """Everything in Redis is gone: queues, cache, throttles."""
        with (
            contextlib.suppress(redis.RedisError),
            redis.Redis.from_url(self.env["REDIS_URL"]) as client,
        ):
            client.flushall()

    def pause_valkey(self, seconds: float) -> None:
        """Valkey hangs: it neither answers nor refuses."""
        pid = self._valkey_pid()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def _valkey_pid(self) -> int:
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            return int(client.info("server")["process_id"])

    def restart_postgres(self) -> None:
        """PostgreSQL goes away and comes back."""
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
        connection.close()

    def faults(self, text: str) -> None:
        """Let the provider misbehave."""
        request = urllib.request.Request(
            f"{self.sandbox_url}/sandbox/faults",
            data=json.dumps({"faults": text}).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    def forget(self) -> None:
        """The provider loses every job."""
        request = urllib.request.Request(
            f"{self.sandbox_url}/sandbox/forget", data=b"", method="POST"
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    # What a client does -------------------------------------------------------------------------

    def submit(self, prompt: str, *, user: str = "ann", patience: float = 60) -> str:
        """Ask for a video as a careful client does: again and again with the same key, until it is
        accepted.
        """
        body = json.dumps({"prompt": prompt, "seconds": 2, "size": "320x240"}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-User-Id": user,
            "Idempotency-Key": str(uuid4()),
        }
        deadline = time.monotonic() + patience
        while True:
            request = urllib.request.Request(
                f"{self.web_url}/api/videos", data=body, headers=headers
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    video_id: str = json.load(answer)["id"]
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise AssertionError((error.code, error.read()[:500])) from None
            except OSError:
                pass
            else:
                self.accepted[video_id] = user
                return video_id
            if time.monotonic() > deadline:
                raise AssertionError("nobody accepts videos any longer")
            time.sleep(0.1)

    def cancel(self, video_id: str) -> None:
        """Cancel, if it is not too late and web is there."""
        request = urllib.request.Request(
            f"{self.web_url}/api/videos/{video_id}/cancel",
            data=b"",
            headers={"X-User-Id": self.accepted[video_id]},
        )
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10):
            pass

    # What is seen afterwards --------------------------------------------------------------------

    def wait_until_settled(self, seconds: float) -> Counter[str]:
        """Wait until nothing is under way. Returns how the accepted videos ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.revive()
            with contextlib.suppress(Exception):
                if not [v for v in self.violations() if v.rule == "nothing is left open"]:
                    break
            time.sleep(0.5)
        return self.endings()

    def endings(self) -> Counter[str]:
        """Statuses of all accepted videos, with the reason of a failure; `vanished` for those that
        are not there.
        """
        statuses = dict.fromkeys(self.accepted, "vanished")
        for video_id, status, code in self.rows("select id, status, error_code from videos"):
            statuses[video_id] = f"{status}:{code}" if code else status
        return Counter(statuses.values())

    def violations(self) -> list[Violation]:
        """Broken promises, with everything settled."""
        assert self._ctx is not None
        return invariants.check(self._ctx, settled=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What PostgreSQL has."""
        connection = psycopg2.connect(self.env["DATABASE_URL"])
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        finally:
            connection.close()

    def creations(self) -> Counter[str]:
        """How often the provider accepted each of our videos. The attempt's id is the key that we
        send.
        """
        state = json.loads(self._get(f"{self.sandbox_url}/sandbox/state"))
        return Counter(job["idempotency_key"].rpartition("-")[0] for job in state["jobs"])

    def paid_twice(self) -> list[tuple[Any, ...]]:
        """Videos for which more than one attempt was accepted."""
        return self.rows(
            "select video_id, count(*) from attempts where state = 'accepted' group by 1 "
            "having count(*) > 1"
        )

    def unaccounted(self) -> list[str]:
        """Jobs of the provider that belong to no attempt of ours: each was paid for nothing.

        Whose key a job carries does not matter: equal requests of unknown outcome are
        interchangeable.
        """
        state = json.loads(self._get(f"{self.sandbox_url}/sandbox/state"))
        ours = {row[0] for row in self.rows("select canonical_id from attempts")}
        return [job["id"] for job in state["jobs"] if job["id"] not in ours]

    def story(self) -> str:
        """Everything about videos that did not complete: for the message of a failed assertion."""
        rows = self.rows(
            "select v.id, v.status, v.step, v.error_code, v.due_at - now(), v.lease_until - "
            "now(), v.hold_reason, "
            "a.n, a.state, a.detached, a.upstream_status, a.error, a.due_at - now(), a.looks "
            "from videos v left join attempts a on a.video_id = v.id where v.status <> "
            "'completed' limit 20"
        )
        return "\n".join(map(str, rows))

    @staticmethod
    def _get(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())


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
