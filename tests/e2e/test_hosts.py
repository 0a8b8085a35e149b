"""Several hosts share the work: each has its own address, processes and folder, none knows of the
other. What they have in common are PostgreSQL, Redis and a bucket.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.request import Request, urlopen

import psycopg2
import pytest
from moto.server import ThreadedMotoServer

from orchestrator.local.ports import free_port
from orchestrator.local.program import Program
from tests.chaos.client import Client
from tests.chaos.cluster import Cluster, worker_command

pytestmark = pytest.mark.timeout(400)

SHARE = 5
PATIENCE = 180.0


class Host:
    """A machine as far as a process can tell: a door, a worker and a scheduler at an address, with
    a home and a folder for temporary files of its own.
    """

    def __init__(self, cluster: Cluster, name: str, address: str):
        folder = cluster.folder / name
        (folder / "tmp").mkdir(parents=True)
        port = free_port(host=address)
        env = {
            **cluster.env,
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "HOST": address,
            "PORT": str(port),
            "LOG_FORMAT": "json",
        }
        self.url = f"http://{address}:{port}"
        commands = [
            ("web", ("orchestrator", "web")),
            ("worker", worker_command(name)),
            ("scheduler", ("orchestrator", "scheduler")),
        ]
        self.programs = {
            kind: Program(kind, [sys.executable, "-m", *command], env, folder / "logs")
            for kind, command in commands
        }

    def start(self) -> None:
        """Start everything; it may take a while to be of use."""
        for program in self.programs.values():
            program.start()

    def die(self) -> None:
        """The power fails: nothing is finished, nothing is said, nobody starts it again."""
        for program in self.programs.values():
            program.kill()
        for program in self.programs.values():
            program.stop()

    def works(self) -> bool:
        """Whether its worker takes messages."""
        return "ready." in self.programs["worker"].output()

    def submitted(self) -> set[str]:
        """The videos that its worker has sent to the provider, or was about to."""
        found = set()
        for line in self.programs["worker"].output().splitlines():
            if '"submitting"' in line:
                found.add(str(json.loads(line[line.index("{") :])["video_id"]))
        return found


@pytest.fixture
def bucket_env() -> Iterator[dict[str, str]]:
    """Settings for a bucket that both hosts reach."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    endpoint = f"http://{address}:{port}"
    urlopen(Request(f"{endpoint}/videos", method="PUT")).close()
    yield {
        "STORAGE_URL": f"s3://videos?region=us-east-1&endpoint={endpoint}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    server.stop()


@pytest.fixture
def cluster(service_folder: Path, bucket_env: dict[str, str]) -> Iterator[Cluster]:
    """What the hosts have in common; no worker and no scheduler."""
    folder = service_folder / "hosts"
    folder.mkdir(mode=0o711)
    with Cluster(folder, workers=0, schedulers=0, env=bucket_env) as running:
        yield running


@pytest.fixture
def hosts(cluster: Cluster) -> Iterator[list[Host]]:
    """Two of them, ready to be asked."""
    both = [Host(cluster, name, f"127.0.0.{n}") for n, name in enumerate(("east", "west"), 2)]
    try:
        for host in both:
            host.start()
        for host in both:
            cluster.wait_for(host.url)
            until(host.works)
        yield both
    finally:
        for host in both:
            host.die()


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running_at(cluster: Cluster, videos: set[str]) -> int:
    """How many of these videos the provider has and we have not."""
    with psycopg2.connect(cluster.env["DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from videos where status = 'in_progress' and id = any(%s)",
            (list(videos),),
        )
        (count,) = cursor.fetchone() or (0,)
    connection.close()
    return int(count)


def test_hosts_share_the_work_without_a_duplicate_when_one_dies(
    cluster: Cluster, hosts: list[Host]
) -> None:
    """Both take videos at their doors and send them; the power of one fails in the middle. What it
    has accepted is finished by the other, and nothing is made twice.
    """
    east, west = hosts
    doors = [Client(host.url, "sandbox") for host in hosts]
    for door in doors:
        door.accepted = cluster.client.accepted
    numbers = count()

    def ask(door: Client) -> None:
        number = next(numbers)
        door.submit(f"kite number {number}", user=f"user {number % 9}")

    def both_are_at_work() -> bool:
        for door in doors:
            ask(door)
        shares = [host.submitted() for host in hosts]
        return min(map(len, shares)) >= SHARE and running_at(cluster, shares[0]) > 0

    until(both_are_at_work)
    east.die()
    for _ in range(SHARE):
        ask(doors[1])
    endings = cluster.wait_until_settled(PATIENCE)

    accepted = set(cluster.client.accepted)
    assert Counter(completed=len(accepted)) == endings, cluster.verdict.story()
    assert Counter(accepted) == cluster.provider.creations()
    assert [] == cluster.verdict.unaccounted()
    assert [] == cluster.verdict.mixed_up()
    assert [] == cluster.verdict.violations()
    assert accepted == east.submitted() | west.submitted()
