"""How often a provider is looked at, and for how long."""

from __future__ import annotations

from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import providers
from orchestrator.errors import ProviderBusy
from orchestrator.policies import poll_delay, typical_duration
from orchestrator.records import ProviderState, Video

DETACHED_SECONDS = 86_400.0
"""How long an attempt stays under watch after its video has moved on, and stays matchable after it
was given up.
"""
PAUSE_CEILING = 300.0


def first_poll(ctx: Context, provider: Provider) -> float:
    """Seconds from acceptance to the first look."""
    return ctx.settings.poll_min_seconds or provider.profile.poll_min_seconds


def kind_of_work(video: Video) -> str:
    """Videos of the same kind take about as long."""
    return f"{video.model} {video.seconds}"


def first_wait(
    ctx: Context, provider: Provider, video: Video, state: ProviderState | None
) -> float:
    """The same where it is known how long such videos take: nothing is to be seen before."""
    minimum = first_poll(ctx, provider)
    typical = typical_duration(state.durations.get(kind_of_work(video), ())) if state else None
    if typical is None:
        return minimum
    return poll_delay(0.0, minimum, ctx.dice(), typical=typical)


def asked_too_often(ctx: Context, provider: Provider, error: ProviderBusy) -> None:
    """One of us is told to ask less: nobody looks at this account for a while."""
    seconds = min(error.retry_after or 2 * first_poll(ctx, provider), PAUSE_CEILING)
    with ctx.database.statement() as connection:
        providers.pause_polls(connection, provider.name, provider.account, seconds=seconds)


def may_look(ctx: Context, provider: Provider) -> bool:
    """Whether the account may be asked anything now."""
    with ctx.database.statement() as connection:
        return not providers.polls_paused_for(connection, provider.name, provider.account)


def followed(provider: str, account: str) -> str:
    """Under this name whoever follows an account keeps others from looking at its videos: what is
    due there is seen in the next round.
    """
    return f"follow {provider} {account}"
