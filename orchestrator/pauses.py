"""Providers as operators see them: what they have on their hands, and whether they are paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime

from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import audit, backlog, providers
from orchestrator.db.audit import Action
from orchestrator.errors import NotFound
from orchestrator.records import Caller, ProviderState

COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Overview:
    """A configured provider. Times are by our clock; `unclaimed` are videos of its list that nobody
    here asked for, `duplicates` late successes of attempts whose video had moved on.
    """

    provider: Provider
    in_flight: int
    admitted: int
    paused_until: datetime | None
    for_good: bool
    pause_reason: str | None
    unclaimed: int
    duplicates: int


def overview(ctx: Context) -> list[Overview]:
    """Every configured provider."""
    with ctx.database.statement() as connection:
        states = providers.states(connection)
        found = []
        for provider in ctx.catalog.providers.values():
            name, account = provider.name, provider.account
            load = backlog.load(connection, name, account, ahead=COUNTED)
            found.append(_overview(provider, load, states.get((name, account))))
    return found


def pause(ctx: Context, name: str, *, reason: str, by: Caller | None = None) -> None:
    """Submit nothing there until somebody resumes it; what is under way goes on. `by`: who says so;
    None: somebody at the command line.

    Raises:
        NotFound: no provider of that name is configured.
    """
    provider = _configured(ctx, name)
    with ctx.database.transaction() as connection:
        providers.stop(connection, provider.name, provider.account, reason=reason)
        audit.write(connection, by, Action.PROVIDER_PAUSED, name, {"reason": reason})


def resume(ctx: Context, name: str, *, by: Caller | None = None) -> bool:
    """Lift a pause, whoever made it. False: there was none. `by`: as for `pause`.

    Raises:
        NotFound: no provider of that name is configured.
    """
    provider = _configured(ctx, name)
    with ctx.database.transaction() as connection:
        audit.write(connection, by, Action.PROVIDER_RESUMED, name)
        return providers.resume(connection, provider.name, provider.account)


def _configured(ctx: Context, name: str) -> Provider:
    provider = ctx.catalog.providers.get(name)
    if provider is None:
        names = ", ".join(ctx.catalog.providers)
        raise NotFound(f"There is no such provider; configured are: {names}.")
    return provider


def _overview(provider: Provider, load: backlog.Load, state: ProviderState | None) -> Overview:
    paused = None
    if (
        state is not None
        and state.paused_until is not None
        and state.paused_until > datetime.now(UTC)
    ):
        paused = state.paused_until
    return Overview(
        provider=provider,
        in_flight=load.open_attempts,
        admitted=load.admitted,
        paused_until=paused,
        for_good=paused is not None and paused.year == MAXYEAR,
        pause_reason=state.pause_reason if state is not None and paused is not None else None,
        unclaimed=state.unclaimed if state is not None else 0,
        duplicates=state.duplicates if state is not None else 0,
    )
