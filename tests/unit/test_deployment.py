"""What ships for containers and systemd fits to the Procfile, the settings and the clocks."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api import health
from api.wsgi import GRACE_SECONDS
from orchestrator.broker import QUEUES
from orchestrator.catalog import Provider
from orchestrator.settings import load
from tests import dockerfile
from workers.process import LEAVE_SECONDS

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
UNITS = sorted((OPS / "systemd").glob("*.service"))
SERVICES: dict[str, Any] = yaml.safe_load((OPS / "compose.yaml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
CREATE_SECONDS = Provider.__dataclass_fields__["create_timeout"].default
# What the images of others read, and what systemd gives to a worker as its name.
FOREIGN = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PS", "PATH"}
BELONGS_TO_DEBIAN = ("apt-get", "useradd")
SYSTEMD = shutil.which("systemd-analyze") or ""


def processes() -> dict[str, str]:
    """The command lines of the Procfile, by name."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def settings() -> set[str]:
    """Every variable that the reference explains."""
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))


def unit(path: Path) -> dict[str, str]:
    """The lines of a unit, those of the common part included."""
    common = OPS / "systemd" / "orchestrator-.service.d" / "common.conf"
    text = common.read_text() + path.read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def seconds(duration: str) -> float:
    """A duration as compose writes it."""
    number, unit_of = re.fullmatch(r"(\d+)([sm])", duration).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60}[unit_of]


def variables_of(path: Path) -> set[str]:
    """The names that an example of an environment file sets."""
    return set(re.findall(r"^([A-Z_]+)=", path.read_text(), re.MULTILINE))


def process_of(argv: list[str]) -> str:
    """Which line of the Procfile this becomes."""
    script, name = argv
    assert script.endswith("ops/process")
    return name


@pytest.mark.parametrize("name", OURS)
def test_service_of_compose_is_a_process_of_the_procfile(name: str) -> None:
    """No command line is written a second time."""
    assert process_of(OURS[name]["command"]) in processes()


def test_image_is_the_web_process_by_itself() -> None:
    """Without a command it serves."""
    assert "web" == process_of(dockerfile.only("CMD").argv)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_unit_is_a_process_of_the_procfile(path: Path) -> None:
    """A unit starts what it is named after; migrating is the release step."""
    name = process_of(shlex.split(unit(path)["ExecStart"]))

    assert name in processes()
    assert name == path.stem.split("-")[1].rstrip("@").replace("migrate", "release")


@pytest.mark.parametrize("started", [OURS, {path.stem for path in UNITS}], ids=["compose", "units"])
def test_every_process_is_started_somewhere(started: set[str]) -> None:
    """Each line of the Procfile has its service and its unit."""
    named = {re.sub(r"^orchestrator-|@$", "", name) for name in started} - {"worker-store"}

    assert named == {name.replace("release", "migrate") for name in processes()}


def test_workers_of_compose_take_every_queue_between_them() -> None:
    """A queue that nobody takes from is work that waits."""
    taken = [
        queue
        for service in OURS.values()
        for queue in service["environment"].get("WORKER_QUEUES", "").split(",")
        if queue
    ]

    assert sorted(QUEUES) == sorted(taken)


def test_variables_of_containers_and_units_are_settings() -> None:
    """Nothing is set that nothing reads."""
    named = set(dockerfile.environment())
    named |= {name for service in SERVICES.values() for name in service.get("environment", ())}
    named |= variables_of(OPS / "example.env") | variables_of(OPS / "systemd" / "example.env")
    named |= {
        unit(path)["Environment"].split("=")[0] for path in UNITS if "Environment" in unit(path)
    }

    assert set() == named - settings() - FOREIGN


def test_variables_that_compose_asks_for_are_in_its_example() -> None:
    """Whoever fills in the copy has filled in all that is needed."""
    text = (OPS / "compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))

    assert needed
    assert set() == needed - variables_of(OPS / "example.env")


@pytest.mark.parametrize("path", [OPS / "example.env", OPS / "systemd" / "example.env"])
def test_example_of_an_environment_is_taken_and_holds_no_secret(path: Path) -> None:
    """An empty variable counts as not set, so that a copy with blanks is refused nowhere else."""
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE))

    load(values)

    secret = [name for name in values if re.search("KEY|PASSWORD|AUTH|DATABASE", name)]
    assert [] == [name for name in secret if values[name]]


def test_containers_may_take_as_long_to_stop_as_their_work_does() -> None:
    """A worker that is killed in a call that makes a video leaves its outcome unknown."""
    grace = {name: seconds(one["stop_grace_period"]) for name, one in OURS.items()
             if "stop_grace_period" in one}  # fmt: skip

    assert grace["web"] > 2 * GRACE_SECONDS
    assert min(grace["worker"], grace["worker-store"]) > CREATE_SECONDS + LEAVE_SECONDS


def test_units_may_take_as_long_to_stop_as_their_work_does() -> None:
    """The same for systemd, which tells the program alone."""
    patience = {path.stem: unit(path) for path in UNITS}

    assert float(patience["orchestrator-web"]["TimeoutStopSec"]) > 2 * GRACE_SECONDS
    worker = patience["orchestrator-worker@"]
    assert float(worker["TimeoutStopSec"]) > CREATE_SECONDS + LEAVE_SECONDS
    assert {"mixed"} == {one["KillMode"] for one in patience.values()}


def test_ports_of_compose_are_on_loopback() -> None:
    """What comes from elsewhere comes through a proxy; the database comes from nowhere."""
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}

    assert {"web", "flower"} == set(published)
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_flower_of_compose_wants_a_password() -> None:
    """In its container it listens on every address, so it does not start without one."""
    flower = OURS["flower"]["environment"]

    assert flower["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")
    assert ["flower"] == OURS["flower"]["profiles"]


def test_health_of_the_image_is_a_route() -> None:
    """It asks whether the process lives; the other processes serve nothing."""
    asked = re.search(r"\}(/\w+)'", dockerfile.only("HEALTHCHECK").argv[-1])
    checked = {name for name, one in OURS.items() if not one["healthcheck"]["disable"]}

    assert asked is not None
    assert f'@blueprint.get("{asked[1]}")' in Path(health.__file__).read_text()
    assert {"web"} == checked


def test_steps_of_the_image_are_what_ci_runs() -> None:
    """Every step is a target of the Makefile, or Debian's own."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [
        shlex.split(command)
        for stage in dockerfile.stages()
        for step in stage
        if step.name == "RUN"
        for command in step.shell.split("&&")
    ]

    ours = [argv for argv in commands if argv[0] not in BELONGS_TO_DEBIAN]
    assert ["make"] == [argv[0] for argv in ours]
    assert set() == {argv[1] for argv in ours} - targets


def test_image_runs_as_nobody_special() -> None:
    """The last user is the one that was made for it, and its number is no one else's."""
    made = next(step.shell for step in dockerfile.stages()[-1] if step.name == "RUN")

    assert made.endswith(f" {dockerfile.only('USER').rest}")
    assert "--uid 10001" in made


def test_files_that_the_image_copies_are_in_its_context() -> None:
    """What is copied is not hidden from the builder, and what might be secret is."""
    seen = dockerfile.context()
    copied = [
        source
        for step in dockerfile.stages()[0]
        if step.name == "COPY"
        for source in step.argv[:-1]
    ]

    assert set() == set(copied) - set(seen)
    assert [] == [path for path in seen if path.endswith((".env", ".pyc"))]
    assert {"Procfile", "ops/process", "schema.sql", "workers/app.py"} <= set(seen)


def test_no_index_is_named_where_others_build() -> None:
    """A private index comes in as a secret of the build, and stays in no layer."""
    text = dockerfile.DOCKERFILE.read_text()

    assert "type=secret,id=pip" in text
    assert not re.search(
        r"index-url|https?://(?!127\.0\.0\.1)|^ARG|trusted-host", text, re.MULTILINE
    )


@pytest.mark.skipif(not SYSTEMD, reason="systemd is not here")
def test_units_are_what_systemd_understands(tmp_path: Path) -> None:
    """It knows every key and finds every program."""
    folder = tmp_path / "systemd"
    shutil.copytree(OPS / "systemd", folder)
    (tmp_path / "checkout").symlink_to(ROOT)  # its own path may have a space
    for path in [*folder.rglob("*.service"), *folder.rglob("*.conf")]:
        path.write_text(path.read_text().replace("/opt/orchestrator", f"{tmp_path}/checkout"))

    done = subprocess.run(
        [SYSTEMD, "verify", "--man=no", *folder.glob("*.service"), *folder.glob("*.target")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "" == done.stderr
    assert 0 == done.returncode


@pytest.mark.parametrize("name", ["", "nothing"])
def test_process_is_refused_when_the_procfile_has_none(name: str) -> None:
    """Whoever mistypes a name is told what there is."""
    done = subprocess.run(
        [OPS / "process", *([name] if name else [])],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert 2 == done.returncode
    assert all(process in done.stderr for process in processes())
