"""The provider itself: accepts jobs, shows them, hands out their content. Knows no HTTP."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from orchestrator.sandbox.dialects import DIALECTS
from orchestrator.sandbox.errors import RefusedError
from orchestrator.sandbox.faults import Fault, Faults
from orchestrator.sandbox.ids import inner_id, leads_elsewhere, new_id, public_id
from orchestrator.sandbox.intake import Order
from orchestrator.sandbox.job import Failure, Job, Kind, State, state_of
from orchestrator.sandbox.jobs import Jobs
from orchestrator.sandbox.journal import Journal
from orchestrator.sandbox.plan import planned, refuse_marked
from orchestrator.sandbox.settings import SandboxSettings
from orchestrator.sandbox.shelf import FolderShelf, MemoryShelf
from orchestrator.sandbox.studio import Studio, Variant
from orchestrator.sandbox.webhooks import Webhooks


class Sandbox:
    """One provider with its jobs. Opens its threads and files when made; `close` ends them."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float] = time.time):
        self.settings, self.dialect, self._clock = settings, DIALECTS[settings.dialect], clock
        self.faults = Faults(settings.faults, settings.seed)
        self.stopping = threading.Event()
        self._requests: Counter[str] = Counter()
        self._requests_lock = threading.Lock()
        self._dice = random.Random(settings.seed)  # noqa: S311 - durations, no secrets
        self._journal = Journal(settings.data) if settings.data else None
        self.jobs = Jobs(clock, self._journal, forgets=self.dialect.forgets)
        self._studio = Studio(
            FolderShelf(settings.data / "content") if settings.data else MemoryShelf(),
            container=settings.container,
            instant=settings.instant_video,
            wanted=self._wanted,
            done=self._rendered,
        )
        self._webhooks = self._open_webhooks()
        for job in self.jobs.everything():
            # What ended before a restart was reported then, if it could be.
            self._start(job, reported=not self.state(job).open)

    def close(self) -> None:
        """Stop everything at once; jobs in a data folder go on after the next start."""
        self.stopping.set()
        if self._webhooks:
            self._webhooks.close()
        self._studio.close()
        if self._journal:
            self._journal.close()

    # ── accepting

    def accept(self, order: Order, kind: Kind, source: str | None, key: str | None) -> Job:
        """A new job, or the one that this key already made where keys are honoured.

        `source` is the other video's id as the client wrote it. Raises RefusedError.
        """
        refuse_marked(order)
        origin = None if source is None else self._finished(source)
        honoured = self.settings.honour_idempotency_key or self.dialect.honours_idempotency_key
        with self.jobs.guard():
            earlier = self.jobs.by_key(key) if key and honoured else None
            if earlier is not None:
                return self._same(earlier, order)
            self._check_capacity()
            drawn = {fault.kind: fault for fault in self.faults.draw_all("job")}
            job = self._plan(order, kind, origin, drawn)
            job = replace(job, source=source if kind == "remix" else None, idempotency_key=key)
            self.jobs.add(job)
        if "forget" in drawn:
            self.jobs.forget()
        self._start(job, reported=False)
        return job

    def _plan(self, order: Order, kind: Kind, origin: Job | None, drawn: dict[str, Fault]) -> Job:
        now = self._clock()
        spread = drawn["duration_spread"].number if "duration_spread" in drawn else 0
        return planned(
            order,
            kind,
            origin,
            job_id=new_id(self.dialect.ids, now),
            now=now,
            takes=self.settings.render_seconds * (1 + spread * self._dice.random()),
            fails="fail" in drawn,
            stuck="stuck" in drawn,
            instant=self.settings.instant_video,
        )

    def _same(self, earlier: Job, order: Order) -> Job:
        if earlier.fingerprint != order.fingerprint:
            message = "This Idempotency-Key was used with another body."
            raise RefusedError(422, message, code="idempotency_key_reused")
        return earlier

    def _check_capacity(self) -> None:
        cap = self.settings.max_concurrent
        cap = self.dialect.max_concurrent if cap is None else cap
        if cap and self.jobs.running() >= cap:
            raise RefusedError(429, "Too many running tasks", type="video_generation_user_error")

    def _start(self, job: Job, *, reported: bool) -> None:
        """Have its bytes made and, unless it was, its end reported."""
        if job.stopped or self.jobs.find(job.id) is None:
            return
        if job.failure is None and not job.stuck and job.rendered_at is None:
            self._studio.submit(job)
        if self._webhooks and not reported:
            self._webhooks.watch(job.id, job.ready_at)

    # ── showing

    def find(self, shown_id: str) -> Job:
        """The job that a client names. Raises RefusedError: 404, or what a proxy makes of it."""
        if leads_elsewhere(shown_id, self.dialect.ids):
            raise RefusedError(
                500, "Cannot connect to host api.openai.com:443", type="internal_server_error"
            )
        job = self.jobs.find(self.inner(shown_id))
        if job is None:
            raise RefusedError(404, f"Video with id '{shown_id}' not found.", code="not_found")
        return job

    def inner(self, shown_id: str) -> str:
        """Our own id in what a client sent."""
        return inner_id(shown_id, self.dialect.ids)

    def shown_id(self, job: Job) -> str:
        """The id under which the job was handed to its client."""
        return public_id(job.id, self.dialect.ids, "create", job.model)

    def _finished(self, shown_id: str) -> Job:
        job = self.find(shown_id)
        if self.state(job).status != "completed":
            raise RefusedError(400, f"Video '{shown_id}' is not completed.", param="video_id")
        return job

    def state(self, job: Job) -> State:
        """What the job is now."""
        return state_of(job, self._clock())

    def seconds_left(self, job: Job) -> float:
        """How long the job will take at least; 0 when its time has come."""
        return max(0.0, job.ready_at - self._clock())

    def expires_at(self, state: State) -> float | None:
        """When its content goes (unix seconds); None = never, or not completed."""
        kept = self.settings.retention_seconds
        kept = self.dialect.retention_seconds if kept is None else kept
        return None if kept is None or state.completed_at is None else state.completed_at + kept

    def content(self, job: Job, variant: Variant) -> tuple[bytes, str]:
        """Bytes and media type. Raises RefusedError while there are none, or no more."""
        state = self.state(job)
        if state.status == "failed":
            status = self.dialect.failed_content_status
            raise RefusedError(status, "Video generation failed; there is no content.")
        if state.open:
            message = "Video is not ready yet, use GET /v1/videos/{video_id} to check status."
            raise RefusedError(self.dialect.not_ready_status, message)
        expiry = self.expires_at(state)
        if expiry is not None and self._clock() >= expiry:
            raise RefusedError(404, "The content of this video has expired.", code="expired")
        return self._studio.content(job, variant)

    def delete(self, job: Job) -> None:
        """Take the job out of sight; whether that stops it is a matter of dialect."""
        self.jobs.change(job.id, gone="deleted", stopped=self.dialect.delete_cancels)

    # ── operating

    def count(self, operation: str) -> None:
        """Note that such a request arrived, however it may end."""
        with self._requests_lock:
            self._requests[operation] += 1

    def requests(self) -> dict[str, int]:
        """How many requests of each operation arrived."""
        with self._requests_lock:
            return dict(sorted(self._requests.items()))

    # ── what the background threads ask and tell

    def _wanted(self, job_id: str) -> bool:
        job = self.jobs.known(job_id)
        return job is not None and not job.stopped

    def _rendered(self, job_id: str, error: str | None) -> None:
        if error is None:
            self.jobs.change(job_id, rendered_at=self._clock())
        else:
            self.jobs.change(job_id, failure=Failure("render_failed", "The renderer failed."))

    def _outcome(self, job_id: str) -> str:
        job = self.jobs.find(job_id)
        if job is None or job.stuck:
            return "gone"
        state = self.state(job)
        return "open" if state.open else state.status

    def _shown_id(self, job_id: str) -> str:
        job = self.jobs.known(job_id)
        return job_id if job is None else self.shown_id(job)

    def _open_webhooks(self) -> Webhooks | None:
        if self.settings.webhook_url is None:
            return None
        return Webhooks(
            self.settings.webhook_url,
            self.settings.webhook_secret or "",
            clock=self._clock,
            outcome=self._outcome,
            shown_id=self._shown_id,
        )
