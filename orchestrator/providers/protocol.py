"""What the orchestrator asks of a provider, and what it gets. No server's dialect is here.

Methods raise `orchestrator.errors.ProviderError`s, and `Unsupported` for what the profile lacks.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from orchestrator.catalog import UpstreamStatus
from orchestrator.providers.content import Download


@dataclass(frozen=True, slots=True)
class InputReference:
    """An image that the video starts from."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One submission. `model` is our name; the adapter sends the provider's own.

    attempt_id: goes out as Idempotency-Key, the same for one attempt whoever repeats it.
    """

    attempt_id: str
    model: str
    prompt: str
    seconds: str
    size: str
    quality: str | None = None
    input_reference: InputReference | None = None


@dataclass(frozen=True, slots=True)
class ProviderVideo:
    """A video as its provider tells of it, read tolerantly: what it does not say is None.

    id: opaque, as given; the one to ask with. canonical_id: the one to compare.
    status: read from raw_status; a word that we do not know counts as in_progress, and
        `status_known` is false.
    model: the provider's own name. seconds: a plain number as text. progress: 0..100.
    created_at, expires_at: by the provider's clock.
    error_code, error_message: set exactly when the status is failed. The message may be shown to
        users. poll_after: seconds that the provider asks us to wait before the next look.
    """

    id: str
    canonical_id: str
    status: UpstreamStatus
    raw_status: str
    status_known: bool = True
    progress: int | None = None
    model: str | None = None
    seconds: str | None = None
    size: str | None = None
    prompt: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    poll_after: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """How much of a provider's list is to be looked through, from the newest on.

    until: back to this time, by our clock.
    wanted: canonical ids. Once all of them have been seen the look ends, and is not `reached`.
    after: an id of the provider's: what is newer is left out.
    """

    until: datetime
    max_pages: int
    wanted: Collection[str] = ()
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """One look at the provider's list.

    videos: newest first, as far as the provider dates them.
    reached: the look goes back past the span's `until` or to the list's end, and every entry was
        readable: what is not in `videos` was not there. False = inconclusive.
    server_offset: the provider's clock minus ours, up to a second too little: `Date` is truncated.
    """

    videos: tuple[ProviderVideo, ...]
    reached: bool
    server_offset: timedelta


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look from outside says about a provider, for `orchestrator doctor`.

    key_accepted, lists, remixes: None where it could not be told. problems: sentences for the
    operator, among them each ability that does not match the profile. listed: the newest videos
    of its list.
    """

    reachable: bool
    key_accepted: bool | None
    lists: bool | None
    problems: tuple[str, ...]
    remixes: bool | None = None
    listed: tuple[ProviderVideo, ...] = ()


class VideoProvider(Protocol):
    """One provider. Safe to share between threads."""

    def create(self, request: CreateRequest) -> ProviderVideo:
        """Submit. At most one request leaves this machine, whatever happens.

        Raises:
            ProviderUnreachable: it never got there.
            ProviderBusy: refused for now.
            ProviderRejected: this request is refused for good (`code` moderation_blocked or
                provider_rejected).
            ProviderMisconfigured: we are refused, not the request.
            ProviderAmbiguous: anything else; it may be at work.
        """
        ...

    def remix(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """Submit a remix of the provider's video `source_id`; as `create`, under its rules.

        Raises:
            ProviderRejected: also with `code` source_gone.
            Unsupported: this provider has no remix.
        """
        ...

    def edit(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """Submit a changed version of the provider's video `source_id`; raises as `remix` does."""
        ...

    def extend(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """Submit the provider's video `source_id` with `request.seconds` more of it; what comes
        back tells the length of both together. Raises as `remix` does.
        """
        ...

    def retrieve(self, provider_video_id: str) -> ProviderVideo:
        """Ask for one video. A failed one is an answer, even under an HTTP error.

        Raises:
            ProviderMissing: the provider does not know it (now).
            ProviderBusy, ProviderTransient, ProviderMisconfigured: nothing was learnt about it.
        """
        ...

    def walk(self, span: Span) -> Walk:
        """Look through a part of the list, newest first.

        Raises:
            Unsupported: the profile has no list.
            ProviderBusy, ProviderTransient, ProviderMisconfigured: there is no look to speak of.
        """
        ...

    def delete(self, provider_video_id: str) -> None:
        """Delete, which also cancels where the profile says so.

        Raises:
            ProviderMissing: it is not there.
            ProviderBusy, ProviderTransient, ProviderMisconfigured: it may still be there.
            Unsupported: the profile has no delete.
        """
        ...

    def download(
        self, provider_video_id: str, variant: str = "video"
    ) -> AbstractContextManager[Download]:
        """Open the bytes of a finished video, its `thumbnail` or its `spritesheet`.

        Reading `chunks` to the end proves that they are all there. Entering and reading raise:
            ContentNotReady: not yet; ask again.
            ContentInvalid: what came is not the video.
            Unsupported: the profile has no such variant.
            ProviderMissing, ProviderBusy, ProviderTransient, ProviderMisconfigured: as elsewhere.
        """
        ...

    def probe(self) -> Probe:
        """Look whether the provider answers, accepts our key and fits its profile. Never raises."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
