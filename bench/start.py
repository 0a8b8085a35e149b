"""Starting: how long until a fresh machine can take a video, and what the imports cost."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.child import Child
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage

FIRST = "orchestrator up, the first time"
AGAIN = "orchestrator up, again"
API = "orchestrator, import api"
WORKERS = "orchestrator, import workers.app"
_TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    env = stage.environment("postgresql:///nowhere")
    own = ("DATABASE_URL", "REDIS_URL", "OPENAI_BASE_URL", "PROVIDER_PROFILE", "STORAGE_URL")
    bare = {name: value for name, value in env.items() if name not in {*own, "AUTH"}}
    kept = stage.folder / "kept"
    _up(stage, bare, kept)
    yield [
        Contestant(FIRST, partial(_up_anew, stage, bare)),
        Contestant(AGAIN, partial(_up, stage, bare, kept)),
        Contestant(API, partial(_import, env, "api")),
        Contestant(WORKERS, partial(_import, env, "workers.app")),
    ]


def _up_anew(stage: Stage, env: Mapping[str, str]) -> Metrics:
    with tempfile.TemporaryDirectory(dir=stage.folder) as folder:
        Path(folder).chmod(0o711)
        return _up(stage, env, Path(folder) / "data")


def _up(stage: Stage, env: Mapping[str, str], folder: Path) -> Metrics:
    """Until it says where it is, which it does when a video can be asked for and will be made."""
    argv = [sys.executable, "-m", "orchestrator", "up", "--data", str(folder), "--port", "0"]
    began = time.perf_counter()
    with Child(argv, {**env, "FLOWER_PORT": "0"}, stage.folder / "logs/up.log") as child:
        child.wait_until((folder / "environment").exists)
        return {"ready_seconds": time.perf_counter() - began}


def _import(env: Mapping[str, str], module: str) -> Metrics:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(module)],
        env=dict(env),
        capture_output=True,
        text=True,
        check=True,
    )
    return {"ready_seconds": float(done.stdout)}


MEASUREMENT = Measurement(
    "start",
    "Starting",
    _contestants,
    (
        Goal("Seconds until `up` is ready", FIRST, "ready_seconds", "at most", 6, paced=True),
        Goal("Seconds until `up` is ready again", AGAIN, "ready_seconds", "at most", 6, paced=True),
        Goal("Seconds to import api", API, "ready_seconds", "at most", 1, paced=True),
        Goal("Seconds to import workers.app", WORKERS, "ready_seconds", "at most", 1, paced=True),
    ),
    chart="ready_seconds",
)
