"""Downloads of finished videos from our own disk."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.child import answers
from bench.load.generator import Generator, Request
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol
from orchestrator.local.ports import free_port
from orchestrator.storage import open_storage

DISK = "the file itself, read in turn"
KERNEL_ONE = "sendfile, 1 client"
KERNEL = "sendfile, 100 clients at once"
ONE = "orchestrator, 1 client"
HUNDRED = "orchestrator, 100 clients at once"
RANGES = "orchestrator, 100 clients, the last megabyte"
OTHERS = "orchestrator, another request while 100 download"
_MB = 2**20
_SIZE = 50 * _MB
_BEGUN_SECONDS = 0.5
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
    path = stage.folder / "videos" / _KEY
    with stage.web(url, processes=1) as web, _sendfile(stage, path) as kernel:
        run = partial(_run, stage, web, user, scale.seconds)
        yield [
            Contestant(DISK, partial(_read, path)),
            Contestant(KERNEL_ONE, partial(_run, stage, kernel, user, scale.seconds, 1, {})),
            Contestant(KERNEL, partial(_run, stage, kernel, user, scale.seconds, 100, {})),
            Contestant(ONE, partial(run, 1, {})),
            Contestant(HUNDRED, partial(run, 100, {})),
            Contestant(RANGES, partial(run, 100, {"Range": f"bytes=-{_MB}"})),
            Contestant(OTHERS, partial(_meanwhile, stage, web, user, scale.seconds)),
        ]


@contextmanager
def _sendfile(stage: Stage, path: Path) -> Iterator[Web]:
    """A server that costs next to nothing."""
    port = free_port()
    env = stage.environment("postgresql:///nowhere")
    with stage.program("sendfile", ["bench.sendfile", str(port), str(path)], env) as child:
        child.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"))
        yield Web(port, child)


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


def _meanwhile(stage: Stage, web: Web, user: User, seconds: float) -> Metrics:
    """How long a request waits that has nothing to do with the downloads of the others."""
    folder = stage.folder / "others"
    folder.mkdir(exist_ok=True)
    small = Request("GET", f"/api/videos/{_ID}", user.headers)
    large = Request("GET", f"/api/videos/{_ID}/download", user.headers)
    run = partial(stage.generator.run, web.port, [large], connections=100)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run, seconds=_BEGUN_SECONDS + seconds + 1)
        time.sleep(_BEGUN_SECONDS)
        seen = Generator(folder).run(web.port, [small], connections=1, seconds=seconds)
    return seen.metrics()


MEASUREMENT = Measurement(
    "downloads",
    "Downloading 50 MB",
    _contestants,
    (
        Goal("Errors of 100 at once", HUNDRED, "errors", "at most", 0),
        Goal("Memory of the server, 100 at once (MiB)", HUNDRED, "memory_mb", "at most", 300),
        Goal("Speed of one client, of sendfile", ONE, "mb_per_second", "at least", 0.4, KERNEL_ONE),
        Goal(
            "Speed of 100 at once, of sendfile", HUNDRED, "mb_per_second", "at least", 0.4, KERNEL
        ),
        Goal("Speed of 100 at once, of one client", HUNDRED, "mb_per_second", "at least", 0.5, ONE),
    ),
    chart="mb_per_second",
)
