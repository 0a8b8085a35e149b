"""`sandbox`: its options, and what it says of wrong ones."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator.cli.sandbox import sandbox_command
from orchestrator.sandbox.faults import KINDS
from orchestrator.sandbox.settings import SandboxSettings
from tests.cli import run


def test_every_setting_has_an_option_when_the_sandbox_is_started() -> None:
    """What a test can choose, a person can choose too."""
    options = {parameter.name for parameter in sandbox_command.params}

    assert {field.name for field in fields(SandboxSettings)} | {"host", "port"} == options


def test_every_fault_is_explained_when_help_is_asked_for() -> None:
    """No fault is left to reading the source."""
    text = run("sandbox", "--help").stdout
    words = set(re.findall(r"[a-z0-9_]+", text))

    missing = {
        f"{operation}.{kind}"
        for operation, kinds in KINDS.items()
        for kind in kinds
        if kind not in words
    }

    assert set() == missing


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--faults", "create.nope"), "--faults: 'create' knows no 'nope'"),
        (("--render-seconds", "-1"), "--render-seconds must be within 0..86400"),
        (("--webhook-url", "http://127.0.0.1:1/"), "--webhook-secret must be given"),
        (("--dialect", "sora"), "'sora' is not one of"),
    ],
)
def test_option_is_named_when_its_value_cannot_be(arguments: tuple[str, str], told: str) -> None:
    """Exit code 2, and what would be right."""
    result = run("sandbox", *arguments)

    assert 2 == result.exit_code
    assert told in result.stderr


def test_address_is_named_when_it_is_in_use() -> None:
    """A second sandbox says why it does not start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = subprocess.run(
            [sys.executable, "-m", "orchestrator", "sandbox", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )

    assert 1 == ended.returncode
    assert f"Port {port} is in use" in ended.stderr


def test_folder_is_named_when_it_cannot_be_used(tmp_path: Path) -> None:
    """A place that is no folder is one line, not a traceback."""
    (tmp_path / "file").write_text("in the way")

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator", "sandbox", "--port", "0"),
            *("--data", str(tmp_path / "file" / "data")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == ended.returncode
    assert ended.stderr.startswith("Error: The sandbox cannot start: ")
    assert str(tmp_path / "file") in ended.stderr
