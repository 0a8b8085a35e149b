"""Every page is followed from its first line to its last, in a checkout of its own.

README and tutorial find nothing there; the other pages share one installation, with keys, whose
provider has no list, so that videos may have to be held.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.ports import free_port
from orchestrator.local.program import Program
from orchestrator.local.stack import Stack
from orchestrator.media import sniff
from tests.e2e.page_session import Ports, checkout, follow
from tests.pages import PAGES, ROOT, blocks, name_of

PROGRAMS = Path(sys.executable).parent
PROVIDERS = """\
[providers.default]
profile = "sandbox"
base_url = "{url}/v1"
api_key = "sandbox"
list = "none"
"""
SHARED = ("DATABASE_URL", "REDIS_URL", "STORAGE_URL", "SECRET_KEY", "PROVIDERS_FILE")
PATIENCE = 60.0

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not shutil.which("curl"), reason="pages use curl"),
]


@dataclass(frozen=True, slots=True)
class Installation:
    """A running one, and the key of an admin."""

    env: Mapping[str, str]
    sandbox_url: str

    @property
    def port(self) -> int:
        """Of its web server."""
        return int(self.env["ORCHESTRATOR_URL"].rpartition(":")[2])

    def __call__(self, *arguments: str) -> str:
        """What the command line prints."""
        return subprocess.run(
            [PROGRAMS / "orchestrator", *arguments],
            env={"PATH": os.environ["PATH"], **self.env},
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def submitted(self, prompt: str) -> str:
        """The id of a video that is asked for."""
        return str(json.loads(self("submit", prompt, "--json"))["id"])

    def held(self, prompt: str) -> str:
        """The id of a video that the provider took without saying so."""
        request = urllib.request.Request(
            f"{self.sandbox_url}/sandbox/faults", b"create.accept_then_cut@1", method="PUT"
        )
        with urllib.request.urlopen(request, timeout=10):
            video = self.submitted(prompt)
        deadline = time.monotonic() + PATIENCE
        while json.loads(self("show", video, "--json"))["hold_reason"] is None:
            assert time.monotonic() < deadline, prompt
        return video

    def upstream_id(self, prompt: str) -> str:
        """What the provider calls the video of this prompt."""
        with urllib.request.urlopen(f"{self.sandbox_url}/v1/videos", timeout=10) as answer:
            videos: list[dict[str, Any]] = json.load(answer)["data"]
        return next(str(video["id"]) for video in videos if video["prompt"] == prompt)


def held_videos(here: Installation) -> dict[str, str]:
    """Four to decide about, and what the provider calls the first."""
    names = ("VIDEO", "SECOND", "THIRD", "FOURTH")
    videos = {name: here.held(f"a kite to be held: {name}") for name in names}
    return videos | {"PROVIDER_ID": here.upstream_id("a kite to be held: VIDEO")}


def running_video(here: Installation) -> dict[str, str]:
    """One that somebody waits for."""
    return {"VIDEO": here.submitted("a kite to be watched")}


def old_key(here: Installation) -> dict[str, str]:
    """One that has to go."""
    here("keys", "create", "--user", "alice")
    listed = json.loads(here("keys", "list", "--user", "alice", "--json"))
    return {"OLD_KEY": str(listed["data"][0]["id"])}


GIVEN: Mapping[str, Callable[[Installation], dict[str, str]]] = {
    "docs/how-to/handle-held-videos.md": held_videos,
    "docs/how-to/rotate-keys.md": old_key,
    "docs/how-to/watch-a-video.md": running_video,
}
"""The variables that a page supposes to be set, and says so."""

ALONE = (ROOT / "README.md", ROOT / "docs" / "tutorial.md")
"""Pages that begin with nothing. Each has a test of its own."""

FOLLOWED = [
    page for page in PAGES if page not in ALONE and any(block.is_run_here for block in blocks(page))
]


@pytest.fixture(scope="module")
def installation(service_folder: Path) -> Iterator[Installation]:
    """One that needs keys."""
    folder = service_folder / "docs"
    port = free_port(0, "127.0.0.1", taken=frozenset())
    sandbox_url = f"http://127.0.0.1:{port}"
    folder.mkdir()
    providers = folder / "providers.toml"
    providers.write_text(PROVIDERS.format(url=sandbox_url))
    bare = {"PATH": os.environ["PATH"], "PORT": "0", "FLOWER_PORT": "0"}
    sandbox = Program(
        "sandbox",
        [sys.executable, "-m", "orchestrator", "sandbox", "--port", str(port)],
        bare,
        folder / "logs",
    )
    wished = {"AUTH": "keys", "WEBHOOK_ALLOW_LOCAL": "on", "PROVIDERS_FILE": str(providers)}
    sandbox.start()
    try:
        with Stack(folder, bare | wished, flower=False) as stack:
            env = {name: stack.env[name] for name in SHARED}
            env |= {"ORCHESTRATOR_URL": stack.web_url, "WEBHOOK_ALLOW_LOCAL": "on"}
            keyless = Installation(env, sandbox_url)
            key = keyless("keys", "create", "--user", "ops", "--role", "admin").strip()
            yield Installation(env | {"ORCHESTRATOR_API_KEY": key}, sandbox_url)
    finally:
        sandbox.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A checkout to follow a page in."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-docs-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root runs PostgreSQL as somebody else, who must get through
        yield checkout(folder, PROGRAMS)


def starts_a_server(page: Path) -> bool:
    """Whether port 8000 of the page is not that of the installation."""
    awaited = {block.subject for block in blocks(page) if block.kind == "stays up"}
    return any(":8000" in sign or sign == ".orchestrator/environment" for sign in awaited)


def own_ports(ports: Ports) -> dict[str, str]:
    """The variables for those who start servers."""
    return {"PORT": str(ports["8000"]), "FLOWER_PORT": str(ports["5555"])}


def answers(text: str) -> list[Any]:
    """The JSON objects that stand there one after the other."""
    found = []
    decoder = json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def test_readme_ends_in_a_video(folder: Path) -> None:
    """The file is an MP4, and the other answers fit to it."""
    ports = Ports({})

    printed = follow(ROOT / "README.md", folder, own_ports(ports), ports)

    asked, events, remix, listed, quota = answers(printed)
    told = {event["event_type"]: event["event_data"] for event in events["data"]}
    content = (folder / "kite.mp4").read_bytes()
    assert "queued" == asked["status"]
    assert asked["id"] == remix["remixed_from_video_id"]
    assert [asked["id"]] == [video["id"] for video in listed["data"]]
    assert (2, 98) == (quota["used"], quota["remaining"])
    assert "video/mp4" == sniff(content[:64])
    assert told["completed"]["bytes"] == len(content)


def test_tutorial_ends_in_its_videos(folder: Path) -> None:
    """The demo's two, one by HTTP and two by the command line, whatever was killed meanwhile."""
    ports = Ports({})
    sooner = {"LEASE_SECONDS": "3", "RECONCILE_GRACE_SECONDS": "1"}

    follow(ROOT / "docs" / "tutorial.md", folder, own_ports(ports) | sooner, ports)

    films = [*folder.glob("out/*.mp4"), *folder.glob("*.mp4")]
    assert 5 == len(films)
    assert {"video/mp4"} == {sniff(film.read_bytes()[:64]) for film in films}


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_page_can_be_followed_beside_an_installation(
    page: Path, folder: Path, installation: Installation
) -> None:
    """Each of its lines does what it should, in the order of the page."""
    given = GIVEN.get(name_of(page), lambda _: {})(installation)
    ports = Ports({} if starts_a_server(page) else {"8000": installation.port})

    follow(page, folder, {**installation.env, **given, **own_ports(ports)}, ports)
