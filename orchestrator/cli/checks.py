"""What `doctor` looks at, one after the other. Each finding says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime
from enum import StrEnum

from orchestrator import invariants, views
from orchestrator.catalog import Provider
from orchestrator.cli import output
from orchestrator.context import Context, build
from orchestrator.db import health, orphans, providers, schema
from orchestrator.errors import DependencyDown, OrchestratorError
from orchestrator.records import ProviderState
from orchestrator.settings import Settings, load

WORKER_SECONDS = 2.0
OVERDUE_SECONDS = 60.0


class State(StrEnum):
    """How a check went. A warning is something to know; a failure stops the work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `advice` is empty where there is nothing to do."""

    name: str
    state: State
    message: str
    advice: str = ""


def promises(env: Mapping[str, str], *, read: bool = False) -> Iterator[Check]:
    """Whether all that was promised holds: every broken rule is a failure of ours.

    read: read every stored video, too.
    """
    try:
        ctx = build(load(env), application="orchestrator doctor")
    except OrchestratorError:
        return
    try:
        broken = invariants.check(ctx, read=read)
    except OrchestratorError as error:
        yield Check("promises", State.FAIL, error.message, "Mend what fails above first.")
        return
    finally:
        ctx.close()
    for violation in broken:
        yield Check(
            "promises",
            State.FAIL,
            f"{violation.rule}: {violation.id}: {violation.found}",
            "This is a bug: please report it with the video's events.",
        )
    if not broken:
        yield Check("promises", State.OK, "all rows and files agree")


def examine(env: Mapping[str, str], *, worker_seconds: float = WORKER_SECONDS) -> Iterator[Check]:
    """All checks, as they come: a dependency that does not answer takes its time.

    worker_seconds: how long workers may take to answer; they are waited for that long in any case.
    """
    try:
        settings = load(env)
        ctx = build(settings, application="orchestrator doctor")
    except OrchestratorError as error:
        yield Check(
            "settings", State.FAIL, error.message, "Correct the variable and run this again."
        )
        return
    try:
        yield _settings(settings)
        database = list(_database(ctx))
        yield from database
        yield _redis(ctx)
        yield _storage(ctx)
        for provider in ctx.catalog.providers.values():
            yield from _provider(ctx, provider)
        yield _workers(ctx, worker_seconds)
        if all(check.state != State.FAIL for check in database):
            yield from _pauses(ctx)
            yield from _work(ctx)
            yield from _orphans(ctx)
    finally:
        ctx.close()


def _settings(settings: Settings) -> Check:
    models = ", ".join(settings.catalog.models)
    return Check("settings", State.OK, f"AUTH={settings.auth}, models {models}")


def _database(ctx: Context) -> Iterator[Check]:
    try:
        with ctx.database.statement() as connection:
            version = health.server_version(connection)
        found = schema.version(ctx.database)
    except DependencyDown as error:
        reason = output.plain(error.__cause__ or error).split("(Background")[0].strip()
        yield Check("postgresql", State.FAIL, reason, "Start it, or correct DATABASE_URL.")
        return
    yield Check("postgresql", State.OK, f"version {version}")
    if found is None or found < schema.VERSION:
        state = "there are no tables" if found is None else f"version {found} of {schema.VERSION}"
        yield Check("schema", State.FAIL, state, "Run: orchestrator migrate")
    elif found > schema.VERSION:
        newer = f"version {found}, newer than this program's {schema.VERSION}"
        yield Check("schema", State.WARN, newer, "That works; update this installation soon.")
    else:
        yield Check("schema", State.OK, f"version {found}")


def _redis(ctx: Context) -> Check:
    if ctx.cache.ping():
        return Check("redis", State.OK, "answers")
    advice = "Start it, or correct REDIS_URL; until then work is found by sweeps, within seconds."
    return Check("redis", State.WARN, "does not answer", advice)


def _storage(ctx: Context) -> Check:
    try:
        ctx.storage.check()
    except OrchestratorError as error:
        return Check("storage", State.FAIL, error.message, "Finished videos wait; see STORAGE_URL.")
    return Check("storage", State.OK, f"{ctx.storage.url} can be written")


def _provider(ctx: Context, provider: Provider) -> Iterator[Check]:
    name = f"provider {provider.name}"
    probe = ctx.pool.get(provider).probe()
    problems = " ".join(probe.problems)
    if not probe.reachable:
        advice = "Videos wait. See OPENAI_BASE_URL or PROVIDERS_FILE."
        yield Check(name, State.FAIL, problems, advice)
    elif probe.key_accepted is False:
        yield Check(name, State.FAIL, problems, "Videos wait. Correct the provider's API key.")
    elif problems:
        yield Check(name, State.WARN, problems, "Adapt its profile, or take it as it is.")
    else:
        yield Check(name, State.OK, f"answers as profile {provider.profile.name} says")


def _workers(ctx: Context, seconds: float) -> Check:
    if ctx.broker.depths() is None:
        return Check(
            "workers", State.WARN, "cannot be asked: the broker does not answer", "See redis."
        )
    names = ctx.broker.workers(seconds)
    if not names:
        advice = "Start one, as the Procfile says: celery -A workers.app worker …"
        return Check("workers", State.FAIL, "none answers", advice)
    return Check("workers", State.OK, ", ".join(names))


def _pauses(ctx: Context) -> Iterator[Check]:
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
    return Check(f"provider {state.name}", State.WARN, message, "Its videos wait; see the reason.")


def _orphans(ctx: Context) -> Iterator[Check]:
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


def _work(ctx: Context) -> Iterator[Check]:
    with ctx.database.statement() as connection:
        work = health.work(connection)
    counts = f"{work.waiting} waiting for a slot, {work.unknown} of unknown outcome"
    if (work.overdue_seconds or 0) > OVERDUE_SECONDS:
        age = output.duration(work.overdue_seconds or 0)
        yield Check(
            "work",
            State.WARN,
            f"{counts}; the oldest due step is {age} late",
            "Look at the logs of the workers, or start more of them.",
        )
    else:
        yield Check("work", State.OK, f"{counts}; nothing is late")
    if work.held:
        yield Check(
            "held",
            State.WARN,
            f"{work.held} waiting for an operator's decision",
            "`orchestrator resolve` lists them and decides.",
        )
