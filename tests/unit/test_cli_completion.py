"""`completion`: what shells are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.completion import SHELLS, VARIABLE
from tests.cli import run

# Bash with our completion, asked for what may follow these words.
ASKING = """
eval "$("$1" -m orchestrator completion bash)"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_orchestrator_completion orchestrator
printf '%s\\n' "${COMPREPLY[@]}"
"""


def asked(*words: str) -> list[str]:
    """What a real bash offers after these words."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    ended = subprocess.run(
        ["/bin/bash", "--norc", "-c", ASKING, "bash", sys.executable, *words],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.split()


def test_bash_offers_commands_when_a_beginning_is_typed() -> None:
    """From the line that people put into ~/.bashrc to what they see."""
    assert ["submit"] == asked("orchestrator", "sub")


def test_bash_offers_the_values_of_an_option_when_they_are_known() -> None:
    """Statuses need not be remembered."""
    assert ["cancelled", "completed"] == sorted(asked("orchestrator", "list", "--status", "c"))


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_is_told_how_to_ask(shell: str) -> None:
    """The script asks this program, by the variable that it listens to."""
    result = run("completion", shell)

    assert 0 == result.exit_code
    assert f"{VARIABLE}={shell}_complete" in result.stdout


def test_shells_are_named_when_another_is_asked_for() -> None:
    """It is wrong usage, and says what is right."""
    result = run("completion", "tcsh")

    assert 2 == result.exit_code
    assert all(shell in result.stderr for shell in SHELLS)
