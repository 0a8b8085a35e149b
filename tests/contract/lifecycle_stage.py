"""The whole core over a sandbox that speaks one server's dialect, with time that a test moves.

Nothing sleeps: `settle` works off what is due, then lets pass whatever time the next thing waits
for, in our rows and in the sandbox's jobs alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator import dispatch, reconcile
from orchestrator.catalog import PROFILES, Catalog, Profile, Provider, single_provider_catalog
from orchestrator.context import Context, ProviderPool
from orchestrator.invariants import check
from orchestrator.lifecycle import AttemptState
from orchestrator.providers import VideoProvider, open_provider
from orchestrator.records import Attempt, Video
from orchestrator.sandbox.books import report
from orchestrator.sandbox.render import stamped_id
from orchestrator.sandbox.server import RunningSandbox, running_sandbox
from orchestrator.steps import poll, store, submit, watch
from tests.core import opened
from tests.factories import RingRecorder
from tests.rig import Rig

RENDER = 20.0
"""Seconds, of the time that a test moves, that the sandbox takes for a video."""
DAY = 86_400.0
_ROUNDS = 80
_TASKS: dict[str, Callable[..., None]] = {
    "create": submit.submit,
    "dispatch": dispatch.sweep,
    "remix": submit.submit,
    "poll": poll.poll,
    "store": store.store,
    "reconcile": reconcile.reconcile,
    "watch": watch.watch,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended for one video.

    end: its status, with the code of its error. attempts: what became of each POST. made: how many
    videos the provider has accepted for it. charged: whether a price was booked.
    """

    end: str
    attempts: tuple[str, ...]
    made: int
    quota: str
    charged: bool


class Upstream:
    """One sandbox for many tests. Each sees only what was accepted since it began."""

    def __init__(self, running: RunningSandbox, profile: Profile, ctx: Context):
        self.profile = profile
        self.base_url = running.base_url
        self.sandbox = running.sandbox
        self.ctx = ctx
        self._jobs_before = 0
        self._requests_before: dict[str, int] = {}

    def begin(self) -> None:
        """Forget what was, faults included."""
        self.misbehave("")
        self.restart()
        books = report(self.sandbox)
        self._jobs_before = books["accepted"]["total"]
        self._requests_before = books["requests"]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """What was accepted, oldest first."""
        jobs: list[dict[str, Any]] = report(self.sandbox)["jobs"]
        return jobs[self._jobs_before :]

    @property
    def repeated(self) -> list[str]:
        """Attempts that were accepted more than once, as far as it can remember."""
        keys = [job["idempotency_key"] for job in self.jobs if job["gone"] != "forgotten"]
        return [key for key, count in Counter(keys).items() if count > 1]

    def requests(self, operation: str) -> int:
        """How many requests of this operation have arrived."""
        now = self.sandbox.requests().get(operation, 0)
        return now - self._requests_before.get(operation, 0)

    def misbehave(self, faults: str) -> None:
        """Put these faults in force instead of any others."""
        self.sandbox.faults.change(faults)

    def restart(self) -> None:
        """Lose every job."""
        self.sandbox.jobs.forget()

    def grow_older(self, seconds: float) -> None:
        """Let all that was accepted have been so earlier."""
        for job in self.sandbox.jobs.everything()[self._jobs_before :]:
            rendered = None if job.rendered_at is None else job.rendered_at - seconds
            self.sandbox.jobs.change(
                job.id,
                created_at=job.created_at - seconds,
                ready_at=job.ready_at - seconds,
                rendered_at=rendered,
            )

    def catalog(self, patience: Mapping[str, float], **changes: Any) -> Catalog:
        """A catalog of this one server, its timeouts and its profile changed where asked."""
        base = single_provider_catalog(
            base_url=self.base_url, api_key="key-of-a-test", profile=self.profile.name
        )
        (provider,) = base.providers.values()
        # Clients are kept by name, and a client knows its profile.
        facts = {**changes, **patience}
        name = "-".join(["default", *(f"{key}-{value}" for key, value in facts.items())])
        profile = replace(provider.profile, **changes)
        changed = replace(provider, name=name, profile=profile, **patience)
        models = {key: replace(model, providers=(name,)) for key, model in base.models.items()}
        return Catalog(providers={name: changed}, models=models)


def _patient(provider: Provider) -> VideoProvider:
    """The real client; its short waits between two reads are skipped."""
    return open_provider(provider, sleep=lambda seconds: None)


@contextmanager
def upstream(dialect: str, database_url: str, folder: Path, **settings: Any) -> Iterator[Upstream]:
    """A sandbox that speaks this dialect, and the core over it. Both are opened once for many
    tests: that is what costs time.
    """
    options = {"instant_video": True, "render_seconds": RENDER, **settings}
    with (
        running_sandbox(dialect=dialect, **options) as running,
        opened(database_url, folder) as ctx,
    ):
        core = replace(ctx, pool=ProviderPool(_patient), dice=lambda: 0.5)
        try:
            yield Upstream(running, PROFILES[dialect], core)
        finally:
            core.pool.close()


class Stage(Rig):
    """A rig whose provider is a sandbox, and whose rings are answered."""

    upstream: Upstream

    def work(self) -> None:
        """Sweep, and do everything that was rung, until nothing rings."""
        dispatch.sweep(self.ctx)
        rings = self.ctx.broker.rings
        while rings:
            ring = rings.pop(0)
            _TASKS[ring.task](self.ctx, *ring.args)

    def settle(self, until: Callable[[], bool] = lambda: False) -> None:
        """Work and let time pass until nothing is due any more, or `until` holds."""
        for _ in range(_ROUNDS):
            self.work()
            if until() or not self.sql(_PENDING):
                return
            wait = self.sql(_NEXT)
            self.pass_time(3.1 if wait is None else float(wait) + 0.01)
        raise AssertionError(f"it does not come to rest: {self.sql(_WHAT)}")

    def running(self, video: Video) -> None:
        """Bring this video to where the provider is at work on it."""
        self.settle(lambda: self.video(video).status == "in_progress")
        assert "in_progress" == self.video(video).status

    def ending(self, video: Video) -> Ending:
        """How it has ended, all things included that must be so whatever has happened."""
        video = self.video(video)
        held = video.hold_reason is not None
        attempts = self.attempts(video)
        self._check(video, settled=not held)
        return Ending(
            "held" if held else ": ".join(filter(None, (video.status, video.error_code))),
            tuple(_told(attempt) for attempt in attempts),
            len(self.upstream.jobs),
            video.quota_state,
            bool(video.cost_actual),
        )

    def _check(self, video: Video, *, settled: bool) -> None:
        assert [] == check(self.ctx, settled=settled)
        assert [] == self.upstream.repeated
        if video.status == "completed":
            self.check_content(video)

    def check_content(self, video: Video) -> None:
        """The bytes that are stored came from the video that was made for just this request."""
        video = self.video(video)
        own = self.attempts(video)
        names = {attempt.canonical_id for attempt in own if not attempt.detached}
        with self.ctx.storage.open(video.content_key or "") as content:
            stamp = stamped_id(b"".join(content.chunks))
        made = next(job for job in self.upstream.jobs if job["id"] == stamp)
        assert stamp in names
        assert (video.prompt, video.model, video.size) == (
            made["prompt"],
            made["model"],
            made["size"],
        )


def _told(attempt: Attempt) -> str:
    """The state of an attempt, with what it was before, if that was unknown."""
    if attempt.unknown_at is None or attempt.state == AttemptState.UNKNOWN:
        return attempt.state
    return f"unknown, then {attempt.state}"


@contextmanager
def staged(
    served: Upstream,
    *,
    profile: Mapping[str, Any] | None = None,
    patience: Mapping[str, float] | None = None,
    **settings: Any,
) -> Iterator[Stage]:
    """A stage over this sandbox, with settings of its own. `profile` changes facts of the profile;
    `patience` changes how many seconds answers are waited for.
    """
    served.begin()
    catalog = served.catalog(patience or {}, **(profile or {}))
    options = {"retry_base_seconds": 2.0, "catalog": catalog, **settings}
    changed = replace(served.ctx.settings, **options)
    yield Stage(replace(served.ctx, settings=changed, broker=RingRecorder()), served)
    served.begin()


_PENDING = """
select count(*) from (
  select 1 from videos where step is not null and due_at is not null
  union all
  select 1 from attempts where ended_at is null and due_at is not null) o"""
_NEXT = """
select extract(epoch from min(moment) - now()) from (
  select due_at as moment from videos where step is not null
  union all select due_at from attempts where ended_at is null
  union all select paused_until from providers
  union all select polls_paused_until from providers) o
where moment > now()"""
_WHAT = """
select string_agg(v.status || ' ' || coalesce(v.step, '-') || ' ' || coalesce(a.state, '-')
  || ' ' || coalesce(a.error, '-'), '; ')
from videos v left join attempts a on a.video_id = v.id"""
