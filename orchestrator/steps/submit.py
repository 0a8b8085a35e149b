"""Submit: bring queued videos to their providers, at most once per attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import structlog
from structlog.contextvars import bound_contextvars

from orchestrator import acceptances, outcomes, unknowns
from orchestrator.acceptances import Taken
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.crew import Stopped
from orchestrator.db import attempts as attempt_rows
from orchestrator.db import lanes, providers, submitting
from orchestrator.db.lanes import Lane
from orchestrator.db.submitting import Opening
from orchestrator.errors import (
    ContentMissing,
    ProviderAmbiguous,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnreachable,
    StorageError,
    Unsupported,
)
from orchestrator.fingerprints import lane
from orchestrator.lifecycle import Kind
from orchestrator.providers import CreateRequest, InputReference, ProviderVideo
from orchestrator.records import Attempt, Video
from orchestrator.rings import Ring

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """The call was not made: this process stood still for longer than its lease."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A video whose attempt is written, and nothing sent yet."""

    video: Video
    attempt: Attempt
    provider: Provider


def submit(
    ctx: Context, *video_ids: str, origins: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Submit these admitted videos, each with a call of its own. What there is nothing to do for,
    or somebody else does, is passed over.

    Args:
        origins: which request has made a video, as far as that is known; for the log.
    Raises:
        Exception: what no outcome is known for; its attempt is found out about when the lease has
            run out.
    """
    strange: Exception | None = None
    with ctx.leases.hold() as token:
        claimed = claim(ctx, video_ids, token)
        for one, outcome in ctx.crew.settle(
            claimed,
            lambda one: _bring(ctx, one, token, origins),
            partial(acceptances.accepted_all, ctx),
            name="accept",
        ):
            if isinstance(outcome, Stopped):
                outcomes.unsent(ctx, one.video, one.attempt, token=token)
            elif isinstance(outcome, Exception):
                strange = outcome
        _pass_on(ctx, [one.attempt for one in claimed])
    if strange is not None:
        raise strange


def _bring(ctx: Context, one: Claimed, token: str, origins: Mapping[str, str]) -> Taken | None:
    """Make the call. What came instead of a video is recorded here, so that none of the others is
    waited for; None then.
    """
    origin = {"request_id": origins[one.video.id]} if one.video.id in origins else {}
    with bound_contextvars(**origin):
        try:
            found = call(ctx, one.provider, one.video, one.attempt, token=token)
        except Exception as error:
            if not _refused(ctx, one, error, token):
                raise
            return None
    return Taken(one.provider, one.video, one.attempt, found, token)


def _refused(ctx: Context, one: Claimed, error: Exception, token: str) -> bool:
    """Record what came instead of a video. False: nobody knows what that error means."""
    video, attempt, provider = one.video, one.attempt, one.provider
    match error:
        case ProviderBusy() | ProviderUnreachable():
            outcomes.postponed(ctx, provider, video, attempt, error, token=token)
        case ProviderMisconfigured():
            outcomes.postponed(
                ctx, provider, video, attempt, error, token=token, misconfigured=True
            )
        case ProviderAmbiguous():
            unknowns.unknown(ctx, provider, video.id, attempt.n, token=token, error=error)
        case ProviderRejected() | Unsupported() | ContentMissing():
            outcomes.refused(ctx, video, attempt, error, token=token)
        case StorageError():
            outcomes.deferred(ctx, video, attempt, error, token=token)
        case LeaseLost():
            # Whoever took over decides what becomes of it, or has decided.
            log.warning("not_sent", video_id=video.id, attempt=attempt.n, reason="lease_lost")
        case _:
            return False
    return True


def claim(ctx: Context, video_ids: Sequence[str], token: str) -> list[Claimed]:
    """Take the steps and write the attempts, before anything is sent."""
    lease = ctx.leases.seconds
    providers_of: dict[str, Provider] = {}
    with ctx.database.transaction() as connection:
        openings = []
        for video in submitting.claim_submits(connection, video_ids, token=token, lease=lease):
            provider = ctx.catalog.provider(video.provider, video.account)
            if provider is None:
                # Configured no longer: it waits in the backlog, where doctor finds it, in case it
                # comes back.
                submitting.give_back(connection, video.id, 0, token=token, due_in=60)
            else:
                providers_of[video.id] = provider
                openings.append(Opening(video, _lane(video, provider)))
        opened = submitting.open_attempts(connection, openings, token=token, lease=lease)
        for opening in openings:
            provider = providers_of[opening.video.id]
            if opening.video.id not in opened and provider.rpm is not None:
                # It has used nothing of what it was admitted with.
                providers.spend(connection, provider.name, provider.account, creates=-1)
    return [
        Claimed(o.video, opened[o.video.id], providers_of[o.video.id])
        for o in openings
        if o.video.id in opened
    ]


def call(
    ctx: Context, provider: Provider, video: Video, attempt: Attempt, *, token: str | None = None
) -> ProviderVideo:
    """The one call that may cost money.

    Raises:
        LeaseLost: it was not made, because `token` stands for nothing any longer.
    """
    client = ctx.pool.get(provider)
    source = "" if video.kind == Kind.CREATE else _source_id(ctx, video)
    request = CreateRequest(
        attempt_id=attempt.id,
        model=video.model,
        prompt=video.prompt,
        seconds=video.extension_seconds or video.seconds,
        size=video.size,
        quality=video.quality,
        input_reference=_image(ctx, video),
    )
    # A process that stood still since the attempt was written must not send it now: it may have
    # been given up, and its video be on its way already.
    if token is not None and not ctx.leases.alive(token):
        raise LeaseLost
    log.info(
        "submitting",
        video_id=video.id,
        attempt=attempt.n,
        user_id=video.user_id,
        provider=provider.name,
    )
    match video.kind:
        case Kind.REMIX:
            return client.remix(source, request)
        case Kind.EDIT:
            return client.edit(source, request)
        case Kind.EXTENSION:
            return client.extend(source, request)
        case _:
            return client.create(request)


def _pass_on(ctx: Context, attempts: Sequence[Attempt]) -> None:
    """Let the sweep call the next of these lanes now rather than in a second."""
    alone = [attempt for attempt in attempts if attempt.lane is not None]
    if not alone:
        return
    with ctx.database.statement() as connection:
        waits = any(
            lanes.awaited(connection, attempt.provider, attempt.account, attempt.lane or "")
            for attempt in alone
        )
    if waits:
        ctx.broker.ring([Ring("dispatch", (), "dispatch")])


def _lane(video: Video, provider: Provider) -> Lane | None:
    profile = provider.profile
    if profile.list == "none":
        return None
    whole = profile.shows_whole(
        has_image=video.input_key is not None,
        has_quality=video.quality is not None,
        kind=video.kind,
    )
    return Lane(lane(video, profile.echoes, provider.upstream_model(video.model)), alone=not whole)


def _source_id(ctx: Context, video: Video) -> str:
    """The provider's id of the video that this one builds on."""
    with ctx.database.statement() as connection:
        source = attempt_rows.accepted_of(connection, video.remixed_from_video_id or "")
    if source is None or source.provider_video_id is None:
        raise ProviderRejected("The source video is not known to its provider.", code="source_gone")
    return source.provider_video_id


def _image(ctx: Context, video: Video) -> InputReference | None:
    if video.input_key is None:
        return None
    with ctx.storage.open(video.input_key) as content:
        data = b"".join(content.chunks)
    return InputReference(
        filename=video.input_key.rpartition("/")[2],
        content_type=video.input_type or "application/octet-stream",
        data=data,
    )
