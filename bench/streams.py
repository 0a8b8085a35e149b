"""Server-sent events: what an idle client costs, and how soon one hears of its own event."""

from __future__ import annotations

import random
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import quantiles

from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol
from orchestrator.wakes import Wakes

FULL, SHORT = "orchestrator, 10,000 idle clients", "orchestrator, 1,000 idle clients"
_EVENTS = 300
_AT_ONCE = 100
_PATIENCE_SECONDS = 60.0
_IDLE_SECONDS = 10.0
_PAUSE_SECONDS = 0.01
_VIDEOS = """
insert into videos (id, user_id, model, prompt, size, seconds, step, due_at, provider, account,
  fingerprint, quota_period, seq)
select 'video_' || lpad(to_hex(n), 32, '0'), 'user-' || n, 'sora-2', 'A paper boat', '720x1280',
  '4', 'submit', now(), 'openai', 'default', 'f', now(), 1 from generate_series(0, %s) n"""
_EVENT = """
with v as (update videos set seq = seq + 1 where id = %s returning id, seq, user_id)
insert into video_events (video_id, event_type, seq, user_id)
select id, 'progress', seq, user_id from v"""


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    number, name = (10_000, FULL) if scale.full else (1000, SHORT)
    _allow_files(2 * number + 1000)
    yield [Contestant(name, partial(_run, stage, number))]


def _run(stage: Stage, number: int) -> Metrics:
    """Open all, see what they cost while nothing happens, then let something happen to one user at
    a time.
    """
    url = stage.database("streams")
    users = enrol(url, number)
    stage.query(url, _VIDEOS, (number - 1,))
    stage.sql(url, "analyze videos")
    with stage.web(url, processes=1) as web, ExitStack() as stack:
        clients = stack.enter_context(_Clients(web))
        clients.open(users[:_AT_ONCE])
        before = web.child.memory_mb()
        began = time.perf_counter()
        for start in range(_AT_ONCE, number, _AT_ONCE):
            clients.open(users[start : start + _AT_ONCE])
        opened = time.perf_counter() - began
        grown = web.child.memory_mb() - before
        idle = _idle_share(web)
        wakes = Wakes(stage.redis_url)
        stack.callback(wakes.close)
        # Nobody twice: the progress of one video is told once a second at most.
        places = random.sample(range(number), _EVENTS)
        waits = [_delivery(stage, url, clients, wakes, place) for place in places]
        points = quantiles(waits, n=100)
    return {
        "opened_per_second": (number - _AT_ONCE) / opened,
        "memory_per_client_kb": grown * 1024 / (number - _AT_ONCE),
        "idle_cpu_percent": idle * 100,
        "p50_ms": points[49] * 1e3,
        "p99_ms": points[98] * 1e3,
    }


def _idle_share(web: Web) -> float:
    """How much of a core the server uses while nothing happens."""
    before = web.child.cpu_seconds()
    time.sleep(_IDLE_SECONDS)
    return (web.child.cpu_seconds() - before) / _IDLE_SECONDS


def _delivery(stage: Stage, url: str, clients: _Clients, wakes: Wakes, place: int) -> float:
    """Seconds from the commit of an event, when its writer tells of it, to its arrival."""
    stage.query(url, _EVENT, (f"video_{place:032x}",))
    began = time.perf_counter()
    wakes.tell([(f"user-{place}", f"video_{place:032x}")])
    clients.wait_for(place, b"event: progress")
    took = time.perf_counter() - began
    time.sleep(_PAUSE_SECONDS)
    return took


class _Clients:
    """Clients that each watch the events of a user of their own."""

    def __init__(self, web: Web):
        self._web = web
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> _Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._sockets:
            client.close()
        self._selector.close()

    def open(self, users: Sequence[User]) -> None:
        """Let these watch, and return when each has its snapshot."""
        first = len(self._sockets)
        for user in users:
            client = socket.create_connection(("127.0.0.1", self._web.port), timeout=30)
            client.sendall(
                b"GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer " + user.key.encode() + b"\r\n\r\n"
            )
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ, len(self._sockets))
            self._sockets.append(client)
        waiting = set(range(first, len(self._sockets)))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while waiting:
            waiting -= {place for place, data in self._heard(deadline) if b"snapshot" in data}

    def wait_for(self, place: int, what: bytes) -> None:
        """Return when this client has heard that."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not any(p == place and what in data for p, data in self._heard(deadline)):
            continue

    def _heard(self, deadline: float) -> list[tuple[int, bytes]]:
        if time.monotonic() > deadline:
            raise RuntimeError("a stream stays silent")
        return [
            (key.data, self._sockets[key.data].recv(65_536)) for key, _ in self._selector.select(1)
        ]


def _allow_files(number: int) -> None:
    """Each client is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def _goals(name: str) -> list[Goal]:
    return [
        Goal("Memory of a client (KiB)", name, "memory_per_client_kb", "at most", 30),
        Goal("p99 of a targeted delivery (ms)", name, "p99_ms", "at most", 5, paced=True),
    ]


MEASUREMENT = Measurement(
    "streams",
    "Streams of events",
    _contestants,
    (*_goals(FULL), *_goals(SHORT)),
    chart=None,
    once=True,
)
