"""The session of the README, as it stands there, against a stack of real processes."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.stack import Stack

README = Path(__file__).parents[2] / "README.md"
SESSION = re.compile(r"<!-- session -->\n```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not shutil.which("curl"), reason="the session is one of curl"),
]


def session(web_url: str) -> str:
    """The lines of the README, with the address of a stack that may not be at port 8000."""
    found = SESSION.search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert "http://127.0.0.1:8000/api" in found[1]
    return found[1].replace("http://127.0.0.1:8000", web_url)


def answers(text: str) -> list[Any]:
    """The JSON objects that the session prints one after the other."""
    found = []
    decoder = json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def test_session_of_the_readme_ends_in_a_video(service_folder: Path, tmp_path: Path) -> None:
    """Each line works as written; the file is an MP4, and the other answers fit to it."""
    env = {"PATH": os.environ["PATH"], "PORT": "0", "FLOWER_PORT": "0"}

    with Stack(service_folder / "readme", env, flower=False) as stack:
        done = subprocess.run(
            ["/bin/sh", "-euc", session(stack.web_url)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert "" == done.stderr
    assert 0 == done.returncode
    asked, events, remix, listed, quota = answers(done.stdout)
    assert "queued" == asked["status"]
    told = {event["event_type"]: event["event_data"] for event in events["data"]}
    assert asked["id"] == remix["remixed_from_video_id"]
    assert [asked["id"]] == [video["id"] for video in listed["data"]]
    assert (2, 98) == (quota["used"], quota["remaining"])
    content = (tmp_path / "kite.mp4").read_bytes()
    assert b"ftyp" == content[4:8]
    assert told["completed"]["bytes"] == len(content)
