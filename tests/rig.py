"""What tests of single steps work with: a context, a scripted provider, and time that they move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, text, update

from orchestrator import ledger, reconcile, submissions, wishes
from orchestrator.catalog import Catalog, Provider, single_provider_catalog
from orchestrator.context import Context
from orchestrator.db import attempts, providers, quotas, tables, videos
from orchestrator.db import events as event_rows
from orchestrator.errors import ProviderAmbiguous
from orchestrator.invariants import check
from orchestrator.records import Attempt, Caller, ProviderState, Quota, Video
from orchestrator.steps import poll, store, submit, watch
from orchestrator.wishes import VideoRequest
from tests.factories import RingRecorder, make_context, make_settings
from tests.scripted_provider import ScriptedProvider, accepts_then_breaks

ANN = Caller("ann")
GRACE = 30.0
"""The default of RECONCILE_GRACE_SECONDS."""
_MOVED = (tables.videos, tables.attempts, tables.providers)
_STAYS = {"quota_period", "lease_until"}


class Rig:
    """A context whose provider does as it is told. Nothing happens unless a test calls it."""

    def __init__(self, ctx: Context, upstream: ScriptedProvider):
        self.ctx = ctx
        self.upstream = upstream
        self.provider: Provider = next(iter(ctx.catalog.providers.values()))

    @property
    def rings(self) -> list[tuple[str, Any]]:
        """What was rung so far, as (task, first argument); sweeps have none. A message that names
        several videos counts for each.
        """
        broker = self.ctx.broker
        assert isinstance(broker, RingRecorder)
        return [
            (ring.task, arg)
            for ring in broker.rings
            for arg in (ring.args if ring.task in {"create", "remix", "store"} else ring.args[:1])
        ]

    def want(self, prompt: str = "a red kite", *, user: str = "ann", **fields: Any) -> Video:
        """Ask for a video."""
        request = VideoRequest(prompt=prompt, **fields)
        return submissions.create(self.ctx, Caller(user), request).video

    def want_many(self, number: int, *, user: str = "ann", **fields: Any) -> list[Video]:
        """Ask for many videos in one transaction."""
        requests = [VideoRequest(prompt=f"kite {n} of {user}", **fields) for n in range(number)]
        wanted = [wishes.prepare(self.ctx, Caller(user), request) for request in requests]
        with self.ctx.database.transaction() as connection:
            quotas.change(connection, user, {"videos_limit": 10_000})
            written = ledger.write(self.ctx.catalog, connection, wanted)
        found = [outcome.video for outcome in written if isinstance(outcome, ledger.Written)]
        return [video for video in found if video is not None]

    def submitted(self, prompt: str = "a red kite", **fields: Any) -> Video:
        """Ask for a video and submit it."""
        video = self.want(prompt, **fields)
        submit.submit(self.ctx, video.id)
        return self.video(video)

    def generated(self, prompt: str = "a red kite", **fields: Any) -> Video:
        """Bring a video to where its bytes wait at the provider."""
        video = self.submitted(prompt, **fields)
        self.upstream.becomes(self.upstream_id(video), "completed")
        self.look(video)
        return self.video(video)

    def look(self, *wanted: Video) -> None:
        """Poll these videos, due or not."""
        self.due(*wanted)
        poll.poll(self.ctx, [video.id for video in wanted])

    def store(self, video: Video) -> None:
        """Store this video, due or not."""
        self.due(video)
        store.store(self.ctx, video.id)

    def watch(self) -> None:
        """Look at the detached attempts, due or not."""
        self.sql("update attempts set due_at = now() where due_at is not null")
        watch.watch(self.ctx, self.provider.name, self.provider.account)

    def with_storage(self, storage: Any) -> Context:
        """The same context over another storage."""
        return replace(self.ctx, storage=storage)

    def reconcile(self) -> None:
        """Look for the attempts of unknown outcome that are due."""
        reconcile.reconcile(self.ctx, self.provider.name, self.provider.account)

    def clean_look(self) -> None:
        """Let the grace pass, then look."""
        self.pass_time(GRACE + 1)
        self.reconcile()

    def remix(self, source: Video, prompt: str = "a blue kite") -> Video:
        """Ask for a remix."""
        return submissions.remix(self.ctx, Caller(source.user_id), source.id, prompt).video

    def video(self, video: Video | str) -> Video:
        """The row as it is now."""
        with self.ctx.database.statement() as connection:
            found = videos.get(connection, video if isinstance(video, str) else video.id)
        assert found is not None
        return found

    def attempts(self, video: Video) -> list[Attempt]:
        """All its attempts."""
        with self.ctx.database.statement() as connection:
            return attempts.of_video(connection, video.id)

    def states(self, video: Video) -> list[str]:
        """The states of its attempts, in order."""
        return [attempt.state for attempt in self.attempts(video)]

    def upstream_id(self, video: Video) -> str:
        """The provider's id of its last attempt."""
        found = self.attempts(video)[-1].provider_video_id
        assert found is not None
        return found

    def events(self, video: Video) -> list[str]:
        """The types of its events, in order."""
        with self.ctx.database.statement() as connection:
            return [event.event_type for event in event_rows.of_video(connection, video.id)]

    def quota(self, user: str = "ann") -> Quota:
        """What this user has used."""
        with self.ctx.database.statement() as connection:
            return quotas.ensure(connection, user)

    def state(self) -> ProviderState | None:
        """What is known of the provider."""
        with self.ctx.database.statement() as connection:
            return providers.get(connection, self.provider.name, self.provider.account)

    def pause_seconds(self) -> float:
        """For how long nothing is submitted, from now; 0 when it is not paused."""
        until = self.sql("select extract(epoch from paused_until - now()) from providers")
        return max(0.0, float(until or 0))

    def sql(self, statement: str, **params: Any) -> Any:
        """Run one statement; the first value that it returns, if any."""
        with self.ctx.database.statement() as connection:
            result = connection.execute(text(statement), params)
            return result.scalar() if result.returns_rows else None

    def due(self, *wanted: Video) -> None:
        """Let the steps of these videos be due now."""
        self.sql(
            "update videos set due_at = now() where id = any(:ids) and due_at is not null",
            ids=[video.id for video in wanted],
        )

    def due_in(self, video: Video) -> float:
        """Seconds from now until its step is due."""
        statement = "select extract(epoch from due_at - now()) from videos where id = :id"
        return float(self.sql(statement, id=video.id))

    def admit(self, *wanted: Video) -> None:
        """Give these videos a slot, whatever the sweep would say."""
        self.sql(
            "update videos set admitted_at = now(), due_at = now() "
            "where id = any(:ids) and status = 'queued'",
            ids=[video.id for video in wanted],
        )

    def pass_time(self, seconds: float) -> None:
        """All that is written happened so much longer ago, here and at the provider. Leases stay:
        whoever lives renews them.
        """
        with self.ctx.database.transaction() as connection:
            for table in _MOVED:
                earlier = {
                    column: column - timedelta(seconds=seconds)
                    for column in table.columns
                    if isinstance(column.type, DateTime) and column.name not in _STAYS
                }
                connection.execute(update(table).values(earlier))
        self.upstream.grow_older(seconds)

    def expire_leases(self) -> None:
        """Whoever holds one has died, or was stopped for too long."""
        for table in ("videos", "attempts"):
            self.sql(
                f"update {table} set lease_until = now() - interval '1 second' "  # noqa: S608
                "where lease_token is not null"
            )


MakeRig = Callable[..., Rig]
"""What the fixture `make_rig` is; its options are those of `rigged`."""


def lost(rig: Rig, prompt: str = "a red kite", **fields: Any) -> Video:
    """A video whose create was taken, but whose answer was lost."""
    rig.upstream.script("create", accepts_then_breaks(rig.upstream))
    return rig.submitted(prompt, **fields)


def vanished(rig: Rig, prompt: str = "a red kite", **fields: Any) -> Video:
    """A video whose create never got there, though nobody can tell."""
    rig.upstream.script("create", ProviderAmbiguous("Timeout."))
    return rig.submitted(prompt, **fields)


@contextmanager
def rigged(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    *,
    catalog: Catalog | None = None,
    **settings: Any,
) -> Iterator[Rig]:
    """A rig; at the end everything that is promised between rows must hold."""
    upstream = ScriptedProvider()
    options = {"catalog": catalog or make_catalog(), "retry_base_seconds": 2.0, **settings}
    ctx = make_context(
        make_settings(database_url, redis_url, tmp_path, **options), open_client=upstream.open
    )
    rig = Rig(replace(ctx, dice=lambda: 0.5), upstream)
    try:
        yield rig

        assert [] == check(rig.ctx)
    finally:
        ctx.close()


def make_catalog(
    *, max_in_flight: int | None = None, rpm: int | None = None, **profile: Any
) -> Catalog:
    """One provider whose profile is the sandbox's but for these fields."""
    base = single_provider_catalog(
        base_url="http://127.0.0.1:1/v1", profile="sandbox", max_in_flight=max_in_flight, rpm=rpm
    )
    (provider,) = base.providers.values()
    changed = replace(provider, profile=replace(provider.profile, **profile))
    return Catalog(providers={changed.name: changed}, models=base.models)
