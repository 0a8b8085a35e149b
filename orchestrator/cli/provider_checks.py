"""What `doctor` says about the providers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR, UTC, datetime

from orchestrator import abilities, views
from orchestrator.catalog import Provider
from orchestrator.cli import output
from orchestrator.cli.findings import Check, State
from orchestrator.context import Context
from orchestrator.db import orphans, providers
from orchestrator.records import ProviderState


def fits(ctx: Context, provider: Provider, *, remembered: bool) -> Check:
    """Whether it answers, and can do what its profile says. `remembered`: PostgreSQL answers."""
    name = f"provider {provider.name}"
    found = abilities.look(ctx, provider, remembered=remembered)
    problems = output.plain(" ".join(found.problems))
    if not found.reachable:
        advice = "Videos wait. See OPENAI_BASE_URL or PROVIDERS_FILE."
        return Check(name, State.FAIL, problems, advice)
    if found.key_accepted is False:
        return Check(name, State.FAIL, problems, "Videos wait. Correct the provider's API key.")
    if problems:
        advice = "Adapt its profile (PROVIDER_PROFILE or PROVIDERS_FILE), or take it as it is."
        return Check(name, State.WARN, problems, advice)
    seen = f": {'; '.join(found.seen)}" if found.seen else ""
    return Check(name, State.OK, f"answers as profile {provider.profile.name} says{seen}")


def pauses(ctx: Context) -> Iterator[Check]:
    """Accounts to which nothing is submitted now, and why."""
    with ctx.database.statement() as connection:
        states = providers.states(connection)
    now = datetime.now(UTC)
    for state in states.values():
        if state.paused_until is not None and state.paused_until > now:
            yield _pause(state)


def _pause(state: ProviderState) -> Check:
    endless = state.paused_until is None or state.paused_until.year == MAXYEAR
    until = "until somebody resumes it" if endless else f"until {views.rfc3339(state.paused_until)}"
    message = f"is paused {until}: {output.plain(state.pause_reason or 'no reason given')}"
    advice = (
        "Its videos wait. When the reason is gone: "
        f"orchestrator providers --resume {output.plain(state.name)}"
    )
    return Check(f"provider {state.name}", State.WARN, message, advice)


def gone(ctx: Context) -> Iterator[Check]:
    """Unfinished videos of accounts that nobody here can ask any longer."""
    with ctx.database.statement() as connection:
        live = orphans.live(connection)
    for (name, account), videos in sorted(live.items()):
        if ctx.catalog.provider(name, account) is None:
            yield Check(
                f"provider {name}",
                State.WARN,
                f"account {account} is not configured, and has {videos} unfinished videos",
                "Configure it again, or see `orchestrator resolve`; a day after their deadline "
                "they fail.",
            )
