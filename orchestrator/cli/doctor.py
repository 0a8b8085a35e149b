"""`doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.cli import output
from orchestrator.cli.checks import Check, State, examine
from orchestrator.cli.environment import environment
from orchestrator.cli.options import as_json

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


@click.command("doctor")
@as_json
def doctor_command(json_: bool) -> None:
    """Check settings, services, workers and providers.

    Uses the same environment as the server. Each finding is ok, warn (works, but look at it) or
    fail (work stops); the exit code is 1 if one failed. Nothing here costs money.
    """
    found: list[Check] = []
    for check in examine(environment()):
        found.append(check)
        if not json_:
            _say(check)
    failed = [check for check in found if check.state == State.FAIL]
    if json_:
        output.print_json({"ok": not failed, "checks": [asdict(check) for check in found]})
    if failed:
        raise click.exceptions.Exit(1)


def _say(check: Check) -> None:
    label = click.style(f"{check.state:<5}", fg=_STYLES[check.state])
    advice = f" -> {check.advice}" if check.advice else ""
    click.echo(f"{label} {check.name}: {check.message}{advice}")
