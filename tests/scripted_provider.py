"""A provider in memory: what a test does not script goes well, and every call is remembered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from orchestrator.catalog import Provider
from orchestrator.errors import ProviderAmbiguous, ProviderMissing
from orchestrator.providers import CreateRequest, Download, Probe, ProviderVideo, Span, Walk
from tests.factories import MOVIE, make_image

Answer = Exception | Callable[..., Any]
CONTENTS = {"video": MOVIE, "thumbnail": make_image("WEBP"), "spritesheet": make_image("JPEG")}


class ScriptedProvider:
    """Answers each call by its script, one after the other, and otherwise like a good server.

    An answer is an exception to raise, or what to call instead, with the call's own arguments.
    `offset` is its clock minus ours; `reached` and `hidden` (ids) shape what its list shows.
    """

    def __init__(self) -> None:
        self.videos: dict[str, ProviderVideo] = {}
        self.calls: list[tuple[str, str]] = []
        self.begun: list[str | None] = []
        self.requests: list[CreateRequest] = []
        self.contents: dict[str, bytes] = dict(CONTENTS)
        self.offset = timedelta(0)
        self.reached = True
        self.hidden: set[str] = set()
        self._scripts: dict[str, deque[Answer]] = {}
        self._lock = Lock()

    def open(self, provider: Provider) -> ScriptedProvider:
        """For `ProviderPool`: every account is this one."""
        return self

    def script(self, operation: str, *answers: Answer) -> None:
        """What the next calls of this operation meet."""
        self._scripts.setdefault(operation, deque()).extend(answers)

    def count(self, operation: str) -> int:
        """How often that was called."""
        return sum(1 for name, _ in self.calls if name == operation)

    def accept(self, request: CreateRequest) -> ProviderVideo:
        """Take a request: from now on the video is in the list."""
        shown = {name: getattr(request, name) for name in ("model", "seconds", "size", "prompt")}
        return self.has(**shown)

    def has(self, **fields: Any) -> ProviderVideo:
        """Let a video be there, asked for by whomever."""
        with self._lock:
            name = f"up_{len(self.videos) + 1}"
            found = ProviderVideo(
                **{
                    "id": name,
                    "canonical_id": name,
                    "status": "queued",
                    "raw_status": "queued",
                    "created_at": datetime.now(UTC) + self.offset,
                    **fields,
                }
            )
            self.videos[found.id] = found
        return found

    def becomes(self, video_id: str, status: str, **fields: Any) -> None:
        """Let a video be in that status, as its own word for it."""
        changes = {"status": status, "raw_status": status, **fields}
        self.videos[video_id] = replace(self.videos[video_id], **changes)

    def grow_older(self, seconds: float) -> None:
        """Time passes for what is there."""
        for name, found in self.videos.items():
            if found.created_at is not None:
                older = found.created_at - timedelta(seconds=seconds)
                self.videos[name] = replace(found, created_at=older)

    def create(self, request: CreateRequest) -> ProviderVideo:
        """See VideoProvider.create."""
        self.requests.append(request)
        found: ProviderVideo = self._answer("create", request.prompt, self.accept, request)
        return found

    def remix(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See VideoProvider.remix."""
        self.requests.append(request)
        found: ProviderVideo = self._answer(
            "remix", source_id, lambda _, wish: self.accept(wish), source_id, request
        )
        return found

    def edit(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See VideoProvider.edit."""
        self.requests.append(request)
        return self._answer(
            "edit", source_id, lambda _, wish: self.accept(wish), source_id, request
        )

    def extend(self, source_id: str, request: CreateRequest) -> ProviderVideo:
        """See VideoProvider.extend."""
        self.requests.append(request)
        return self._answer(
            "extend", source_id, lambda _, wish: self.accept(wish), source_id, request
        )

    def retrieve(self, provider_video_id: str) -> ProviderVideo:
        """See VideoProvider.retrieve."""
        found: ProviderVideo = self._answer(
            "retrieve", provider_video_id, self._known, provider_video_id
        )
        return found

    def walk(self, span: Span) -> Walk:
        """See VideoProvider.walk."""
        self.begun.append(span.after)
        walk: Walk = self._answer("walk", span.until.isoformat(), self.listing)
        places = [place for place, found in enumerate(walk.videos, 1) if found.id == span.after]
        return replace(walk, videos=walk.videos[places[0] :]) if places else walk

    def listing(self) -> Walk:
        """What its list shows now."""
        shown = [found for found in self.videos.values() if found.id not in self.hidden]
        return Walk(tuple(reversed(shown)), self.reached, self.offset)

    def delete(self, provider_video_id: str) -> None:
        """See VideoProvider.delete."""
        self._answer("delete", provider_video_id, self._forget, provider_video_id)

    @contextmanager
    def download(self, provider_video_id: str, variant: str = "video") -> Iterator[Download]:
        """See VideoProvider.download."""
        chunks = self._answer(f"download {variant}", provider_video_id, self._bytes, variant)
        yield Download("", None, iter(chunks))

    def probe(self) -> Probe:
        """See VideoProvider.probe."""
        return Probe(True, True, True, ())

    def close(self) -> None:
        """Nothing was opened."""

    def _answer(self, operation: str, what: str, usual: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            self.calls.append((operation, what))
            script = self._scripts.get(operation)
            answer = script.popleft() if script else usual
        if isinstance(answer, Exception):
            raise answer
        return answer(*args)

    def _known(self, video_id: str) -> ProviderVideo:
        if video_id not in self.videos:
            raise ProviderMissing(http_status=404)
        return self.videos[video_id]

    def _forget(self, video_id: str) -> None:
        self._known(video_id)
        del self.videos[video_id]

    def _bytes(self, variant: str) -> list[bytes]:
        data = self.contents[variant]
        return [data[:1000], data[1000:]]


def accepts_then_breaks(provider: ScriptedProvider) -> Callable[[CreateRequest], ProviderVideo]:
    """An answer to a create that is lost on its way: the video is there, and we do not know."""

    def answer(request: CreateRequest) -> ProviderVideo:
        provider.accept(request)
        raise ProviderAmbiguous("The answer was cut.", http_status=None)

    return answer
