"""What `doctor` looks at, one after the other. Each finding says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator import invariants
from orchestrator.cli import output, progress_checks, provider_checks
from orchestrator.cli.findings import Check, State
from orchestrator.context import Context, build
from orchestrator.db import health, schema
from orchestrator.errors import DependencyDown, OrchestratorError
from orchestrator.settings import Settings, load

WORKER_SECONDS = 2.0


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
        yield from _examine(ctx, worker_seconds)
    finally:
        ctx.close()


def _examine(ctx: Context, worker_seconds: float) -> Iterator[Check]:
    yield _settings(ctx.settings)
    database = list(_database(ctx))
    yield from database
    usable = all(check.state != State.FAIL for check in database)
    yield _redis(ctx)
    yield _storage(ctx)
    for provider in ctx.catalog.providers.values():
        yield provider_checks.fits(ctx, provider, remembered=usable)
    workers = list(progress_checks.answering(ctx, worker_seconds))
    yield from workers
    if usable:
        answered = any(check.state == State.OK for check in workers)
        yield from progress_checks.getting_on(ctx, answered=answered)
        yield from progress_checks.work(ctx)
        yield from provider_checks.pauses(ctx)
        yield from provider_checks.gone(ctx)


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
