"""`doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import chain

import click

from orchestrator import logs
from orchestrator.cli import output
from orchestrator.cli.checks import examine, promises
from orchestrator.cli.environment import environment
from orchestrator.cli.findings import Check, State
from orchestrator.cli.options import as_json
from orchestrator.errors import ConfigurationError
from orchestrator.settings import load

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


@click.command("doctor")
@click.option(
    "--check", "invariants", is_flag=True, help="Also hold all rows and files against each other."
)
@click.option(
    "--read", is_flag=True, help="With --check: read every stored video and compare its hash."
)
@as_json
def doctor_command(invariants: bool, read: bool, json_: bool) -> None:
    """Check settings, services, workers and providers.

    Uses the same environment as the server. Each finding is ok, warn (works, but look at it) or
    fail (work stops); the exit code is 1 if one failed. Nothing here costs money.

    With --check it reads whole tables and looks for every stored file: quotas equal what the rows
    say, events have no gaps, nothing was settled twice, no lease was forgotten. Work in progress is
    no finding, so it may run at any time.
    """
    if read and not invariants:
        raise click.UsageError("--read goes with --check.")
    env = environment()
    _quiet(env)
    found: list[Check] = []
    for check in chain(examine(env), promises(env, read=read) if invariants else ()):
        found.append(check)
        if not json_:
            _say(check)
    failed = [check for check in found if check.state == State.FAIL]
    if json_:
        output.print_json({"ok": not failed, "checks": [asdict(check) for check in found]})
    if failed:
        raise click.exceptions.Exit(1)


def _quiet(env: Mapping[str, str]) -> None:
    """No log lines on what the findings say anyway."""
    with suppress(ConfigurationError):
        logs.configure(replace(load(env), log_level="ERROR"), "doctor")


def _say(check: Check) -> None:
    label = click.style(f"{check.state:<5}", fg=_STYLES[check.state])
    advice = f" -> {check.advice}" if check.advice else ""
    click.echo(f"{label} {check.name}: {check.message}{advice}")
