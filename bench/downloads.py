"""Downloads of finished videos from our own disk."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.load.generator import Request
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol
from orchestrator.storage import open_storage

DISK = "the file itself, read in turn"
ONE = "orchestrator, 1 client"
HUNDRED = "orchestrator, 100 clients at once"
RANGES = "orchestrator, 100 clients, the last megabyte"
_MB = 2**20
_SIZE = 50 * _MB
_ID = f"video_{'1' * 32}"
_KEY = f"videos/{_ID}/{'ab' * 32}.mp4"
_ROW = """
insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account,
  fingerprint, quota_period, quota_state, finished_at, completed_at, content_key, content_sha256,
  content_bytes, content_type, progress, seq)
values (%s, 'user-0', 'sora-2', 'completed', 'A paper boat', '720x1280', '4', 'openai', 'default',
  'f', now(), 'kept', now(), now(), %s, %s, %s, 'video/mp4', 100, 5)"""


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    url = stage.database("downloads")
    (user,) = enrol(url, 1)
    storage = open_storage((stage.folder / "videos").as_uri(), {})
    content = b"\x00\x00\x00\x18ftypmp42" + secrets.token_bytes(_SIZE - 12)
    storage.put(_KEY, [content], content_type="video/mp4")
    stage.query(url, _ROW, (_ID, _KEY, "ab" * 32, _SIZE))
    with stage.web(url, processes=1) as web:
        run = partial(_run, stage, web, user, scale.seconds)
        yield [
            Contestant(DISK, partial(_read, stage.folder / "videos" / _KEY)),
            Contestant(ONE, partial(run, 1, {})),
            Contestant(HUNDRED, partial(run, 100, {})),
            Contestant(RANGES, partial(run, 100, {"Range": f"bytes=-{_MB}"})),
        ]


def _read(path: Path) -> Metrics:
    began = time.perf_counter()
    with path.open("rb") as file:
        size = sum(map(len, iter(partial(file.read, _MB), b"")))
    return {"mb_per_second": size / _MB / (time.perf_counter() - began)}


def _run(
    stage: Stage, web: Web, user: User, seconds: float, clients: int, headers: dict[str, str]
) -> Metrics:
    """Each client fetches at least one whole answer, however long that takes."""
    request = Request("GET", f"/api/videos/{_ID}/download", {**user.headers, **headers})
    began = time.perf_counter()
    seen = stage.generator.run(web.port, [request], connections=clients, limit=clients)
    while time.perf_counter() - began < seconds:
        seen = stage.generator.run(web.port, [request], connections=clients, limit=clients)
    return {
        "mb_per_second": seen.bytes / _MB / seen.seconds,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "errors": seen.errors,
        "memory_mb": web.child.memory_mb(),
    }


MEASUREMENT = Measurement(
    "downloads",
    "Downloading 50 MB",
    _contestants,
    (
        Goal("Errors of 100 at once", HUNDRED, "errors", "at most", 0),
        Goal("Memory of the server, 100 at once (MiB)", HUNDRED, "memory_mb", "at most", 300),
        Goal("Speed of 100 at once, of one client", HUNDRED, "mb_per_second", "at least", 0.5, ONE),
    ),
    chart="mb_per_second",
)
