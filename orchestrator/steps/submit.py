"""Submit: bring a queued video to its provider, at most once per attempt."""

from __future__ import annotations

import structlog

from orchestrator import outcomes, unknowns
from orchestrator.broker import Ring
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import attempts, lanes, providers, submitting
from orchestrator.db.lanes import Lane
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

log = structlog.get_logger(__name__)


def submit(ctx: Context, video_id: str) -> None:
    """Submit one admitted video. Returns quietly if there is nothing to do or somebody else does
    it.
    """
    with ctx.leases.hold() as token:
        claimed = claim(ctx, video_id, token)
        if claimed is None:
            return
        video, attempt, provider = claimed

        try:
            found = call(ctx, provider, video, attempt)
        except (ProviderBusy, ProviderUnreachable) as error:
            outcomes.postponed(ctx, provider, video, attempt, error, token=token)
        except ProviderMisconfigured as error:
            outcomes.postponed(
                ctx, provider, video, attempt, error, token=token, misconfigured=True
            )
        except ProviderAmbiguous as error:
            unknowns.unknown(ctx, provider, video.id, attempt.n, token=token, error=error)
        except (ProviderRejected, Unsupported, ContentMissing) as error:
            outcomes.refused(ctx, video, attempt, error, token=token)
        except StorageError as error:
            outcomes.deferred(ctx, video, attempt, error, token=token)
        else:
            outcomes.accepted(ctx, provider, video.id, attempt.n, found, token=token)
        _pass_on(ctx, attempt)


def claim(ctx: Context, video_id: str, token: str) -> tuple[Video, Attempt, Provider] | None:
    """Take the step and write the attempt, before anything is sent."""
    with ctx.database.transaction() as connection:
        lease = ctx.leases.seconds
        video = submitting.claim_submit(connection, video_id, token=token, lease=lease)
        if video is None:
            return None
        provider = ctx.catalog.provider(video.provider, video.account)
        if provider is None:
            # Configured no longer: it waits in the backlog, where doctor finds it, in case it comes
            # back.
            submitting.give_back(connection, video_id, 0, token=token, due_in=60)
            return None
        attempt = submitting.open_attempt(
            connection, video, lane=_lane(video, provider), token=token, lease=lease
        )
        if attempt is None:
            if provider.rpm is not None:
                # It has used nothing of what it was admitted with.
                providers.spend(connection, provider.name, provider.account, creates=-1)
            return None
    return video, attempt, provider


def call(ctx: Context, provider: Provider, video: Video, attempt: Attempt) -> ProviderVideo:
    """The one call that may cost money."""
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
    log.info("submitting", video_id=video.id, attempt=attempt.n, provider=provider.name)
    match video.kind:
        case Kind.REMIX:
            return client.remix(source, request)
        case Kind.EDIT:
            return client.edit(source, request)
        case Kind.EXTENSION:
            return client.extend(source, request)
        case _:
            return client.create(request)


def _pass_on(ctx: Context, attempt: Attempt) -> None:
    """Let the sweep call the next of this lane now rather than in a second."""
    if attempt.lane is None:
        return
    with ctx.database.statement() as connection:
        waits = lanes.awaited(connection, attempt.provider, attempt.account, attempt.lane)
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
        source = attempts.accepted_of(connection, video.remixed_from_video_id or "")
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
