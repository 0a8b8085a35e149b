"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from orchestrator.cli.client import Clock, Server
from orchestrator.cli.environment import default_url

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON, for scripts.")


def on_server(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command its first argument, the server to talk to, and the options that choose it."""

    @click.option(
        "--url",
        envvar="ORCHESTRATOR_URL",
        default=default_url,
        show_default="http://127.0.0.1:$PORT, or port 8000",
        show_envvar=True,
        help="The server.",
    )
    @click.option(
        "--api-key",
        envvar="ORCHESTRATOR_API_KEY",
        show_envvar=True,
        help="Your key; better in the variable, where other users of the machine do not see it.",
    )
    @click.option(
        "--user",
        "as_user",
        metavar="ID",
        help="Who you are, where the server runs with AUTH=off (X-User-Id).",
    )
    @wraps(function)
    def command(url: str, api_key: str | None, as_user: str | None, **arguments: Any) -> Any:
        clock = click.get_current_context().find_object(Clock)
        with Server(url, api_key=api_key, user=as_user, clock=clock) as server:
            return function(server, **arguments)

    return command
