"""The steps of ops/Dockerfile in a folder, with this machine in place of its base image: what they
make is run as a container would run it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.local.ports import free_port
from tests import dockerfile

WORKDIR = "/srv/orchestrator"
DATA = "/var/lib/orchestrator"
INSTALL_SECONDS = 400
PATIENCE = 60.0
_DEBIANS = ("apt-get ", "useradd ")
_PATH = "/usr/local/bin:/usr/bin:/bin"

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 100)


class Image:
    """What the steps have made. `folder` stands for the image's WORKDIR, in both stages: an
    environment of Python holds absolute paths.
    """

    def __init__(self, folder: Path):
        self.folder = folder / "image"
        self.data = folder / "data"
        self._built = folder / "built"
        for stage in dockerfile.stages():
            for step in stage:
                self._do(step)

    def run(self, argv: list[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a container: its process, as its parent sees it."""
        env = {
            name: value.replace(WORKDIR, str(self.folder)).replace(DATA, str(self.data))
            for name, value in dockerfile.environment().items()
        }
        env["PATH"] = env["PATH"].replace("$PATH", _PATH)
        with log.open("wb") as output:
            return subprocess.Popen(
                argv, cwd=self.folder, env=env | variables, stdout=output, stderr=output
            )

    def _do(self, step: dockerfile.Instruction) -> None:
        match step.name:
            case "FROM":
                if self.folder.exists():
                    self.folder.rename(self._built)
                self.folder.mkdir()
            case "COPY":
                self._copy(*step.argv)
            case "RUN" if not step.shell.startswith(_DEBIANS):
                subprocess.run(
                    ["/bin/sh", "-euc", step.shell],
                    cwd=self.folder,
                    env={name: v for name, v in os.environ.items() if name != "VIRTUAL_ENV"},
                    timeout=INSTALL_SECONDS,
                    check=True,
                )

    def _copy(self, *words: str) -> None:
        *sources, target = words
        if sources[0] == "--from=build":
            built = self._built / sources[1].removeprefix(f"{WORKDIR}/")
            shutil.copytree(built, self.folder / target, symlinks=True)
            return
        for path in dockerfile.context():
            for source in sources:
                if source in (".", path):
                    inside = path if source == "." else Path(path).name
                    place = self.folder / target / inside
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(dockerfile.ROOT / path, place)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Made once; it takes as long as an installation."""
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def services(database_url: str, redis_url: str) -> dict[str, str]:
    """What every container is told, with a door on loopback."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
    }


@contextmanager
def running(container: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Nothing of it is left afterwards."""
    try:
        yield container
    finally:
        container.kill()
        container.wait()


def until(true: Callable[[], bool], log: Path) -> None:
    """Wait until it is true; `log` says why it is not."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def ended(container: subprocess.Popen[bytes]) -> int:
    """The exit code after the signal by which containers are stopped."""
    container.send_signal(signal.SIGTERM)
    return container.wait(PATIENCE)


def test_image_serves_and_stops_when_it_is_told_to(
    image: Image, services: dict[str, str], bare_database_url: str, tmp_path: Path
) -> None:
    """The release step makes the tables, the health check finds it, SIGTERM ends it in order."""
    services |= {"DATABASE_URL": bare_database_url}
    health = dockerfile.only("HEALTHCHECK").argv
    log = tmp_path / "log"

    released = image.run(["ops/process", "release"], log, **services).wait(PATIENCE)
    assert 0 == released, log.read_text()
    with running(image.run(dockerfile.only("CMD").argv, log, **services)) as web:
        until(lambda: image.run(health, tmp_path / "health", **services).wait() == 0, log)
        code = ended(web)

    assert 0 == code
    assert '"serving"' in log.read_text()


def test_worker_of_the_image_takes_its_queues_and_stops(
    image: Image, services: dict[str, str], tmp_path: Path
) -> None:
    """Those that it is told of, and no others."""
    log = tmp_path / "log"
    services |= {"WORKER_QUEUES": "store,poll"}

    with running(image.run(["ops/process", "worker"], log, **services)) as worker:
        until(lambda: "ready." in log.read_text(), log)
        code = ended(worker)

    assert 0 == code
    queues = re.findall(r"^ +\.> (\w+) +exchange=", log.read_text(), re.MULTILINE)
    assert ["poll", "store"] == sorted(queues)


def test_image_holds_nothing_but_what_runs(image: Image) -> None:
    """Neither tests nor what is left of somebody's work."""
    assert {"tests", "docs", ".git", ".orchestrator", "bench"}.isdisjoint(os.listdir(image.folder))
