"""How a command ends when it does not end well: an exit code, and one line on stderr by click.

0 done · 1 failed (the video, a check) · 2 wrong usage (click's own) · 3 no answer · 4 refused
"""

from __future__ import annotations

from typing import Any

import click

_KEY_ADVICE = (
    "Set ORCHESTRATOR_API_KEY; on the server, `orchestrator keys create --user NAME` prints a key."
)


class Failed(click.ClickException):
    """What was asked for did not come about."""

    exit_code = 1


class Unreachable(click.ClickException):
    """The server does not answer, or says that it cannot at present."""

    exit_code = 3


class Refused(click.ClickException):
    """The server said no. `status` is HTTP's, `problem` its problem document, or empty."""

    exit_code = 4

    def __init__(self, status: int, problem: dict[str, Any]):
        self.status = status
        self.problem = problem
        super().__init__(_sentence(status, problem))

    @property
    def code(self) -> str | None:
        """The stable code of the refusal."""
        code = self.problem.get("code")
        return code if isinstance(code, str) else None


def _sentence(status: int, problem: dict[str, Any]) -> str:
    """The server's own words, with the field that they are about and the code to look up."""
    words = problem.get("detail") or problem.get("title") or f"The server answers HTTP {status}."
    error = problem.get("error")
    param = error.get("param") if isinstance(error, dict) else None
    named = f"{param}: {words}" if param and not str(words).startswith(str(param)) else str(words)
    code = problem.get("code")
    advice = _KEY_ADVICE if status == 401 else ""
    return " ".join(f"{named} ({code or status}) {advice}".split())
