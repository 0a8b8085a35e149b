"""Answers in the event loop what most requests are: one video wished for as JSON, and a look at one
that lies in the cache. A thread and the framework would cost several times what the answer does.

Only what is plain in every respect is answered. All else, and all that must be refused, is left to
the views, which explain: nothing has been changed by then. The answers are those of the views; a
test holds them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias, cast

from flask import Flask
from pydantic_core import to_json

from api import schemas, tracing
from api.auth import doorkeeper_of
from api.bodies import parsed
from api.carriers import Errands
from api.current import EXTENSION
from api.deadlines import Deadlines
from api.idempotency import read
from api.tracing import Answered
from api.uploads import IN_MEMORY, Scope, Upload
from orchestrator import intake, logs, videos, views, wishes
from orchestrator.context import Context
from orchestrator.errors import DependencyDown, OrchestratorError
from orchestrator.gathering import Gathering, Work
from orchestrator.ids import is_video_id
from orchestrator.ledger import Written
from orchestrator.records import Caller
from orchestrator.wishes import Wish

Headers: TypeAlias = dict[bytes, bytes]

_CREATE = "POST", "/api/videos"
_SHOW = "GET", "/api/videos/<video_id>"
_ALL = b"/api/videos"
_ONE = b"/api/videos/"
_REQUEST_ID = tracing.HEADER.lower().encode()
_ELSEWHERE = frozenset({b"prefer", b"if-none-match"})
"""Headers that change what these routes answer, in ways that only the views know."""
_ALWAYS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, no-cache"),
    *((name.lower().encode(), value.encode()) for name, value in tracing.GUARDS.items()),
]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Express:
    """Beside a Flask application, with its callers, its rules and its use cases."""

    def __init__(self, app: Flask):
        self._ctx = cast(Context, app.extensions[EXTENSION])
        self._doorkeeper = doorkeeper_of(app)
        self._looks = Gathering()
        self._deadlines = Deadlines()
        self._together = partial(intake.together, self._ctx)
        self._answered: list[Answered] = []

    async def answer(self, scope: Scope, upload: Upload, errands: Errands) -> Reply | None:
        """The answer to a request. None: it is left to the views, with a refusal in the `upload` if
        there is nothing to be tried again.
        """
        began = perf_counter()
        headers: Headers = dict(scope["headers"])
        if (
            self._ctx.traces.on
            or scope["query_string"]
            or len(headers) < len(scope["headers"])
            or not _ELSEWHERE.isdisjoint(headers)
        ):
            return None
        path: bytes = scope["raw_path"]
        try:
            if scope["method"] == "POST" and path == _ALL:
                return await self._create(headers, upload, errands, began)
            if scope["method"] == "GET" and path.startswith(_ONE):
                video_id = path[len(_ONE) :].decode("latin-1")
                return await self._show(headers, video_id, errands, began)
        except DependencyDown as error:
            upload.refusal = error
        return None

    async def _create(
        self, headers: Headers, upload: Upload, errands: Errands, began: float
    ) -> Reply | None:
        wish = self._wish(headers, upload)
        if wish is None:
            return None
        outcome = await self._gathered(self._ctx.gathering, wish, self._together, errands)
        if not isinstance(outcome, Written) or outcome.video is None:
            return None
        video = outcome.video
        more = [(b"location", b"%b%b" % (_ONE, video.id.encode()))]
        if outcome.replayed:
            more.append((b"idempotent-replayed", b"true"))
        seconds = perf_counter() - began
        answered = Answered(wish.request_id or "", *_CREATE, 202, seconds, wish.user_id, video.id)
        return self._reply(answered, outcome.text or to_json(views.video(video)), more)

    def _wish(self, headers: Headers, upload: Upload) -> Wish | None:
        if headers.get(b"content-type") != b"application/json" or upload.size > IN_MEMORY:
            return None
        caller = self._caller(headers, "write")
        if caller is None or upload.refusal is not None:
            return None
        given = headers.get(b"idempotency-key")
        try:
            key = None if given is None else read(given.decode("latin-1"), " ".join(_CREATE))
            body = parsed(schemas.CreateVideo, upload.peek())
            # To fetch, to keep or to look up takes time that the loop has not.
            if body.input_reference is None and body.webhook_url is None:
                return wishes.prepare(self._ctx, caller, body.request(), key=key)
        except OrchestratorError:
            pass
        return None

    async def _show(
        self, headers: Headers, video_id: str, errands: Errands, began: float
    ) -> Reply | None:
        caller = self._caller(headers, "read") if is_video_id(video_id) else None
        if caller is None:
            return None
        text = await self._gathered(self._looks, video_id, self._ctx.cache.get_videos, errands)
        body = videos.at_hand(self._ctx, caller, text)
        if body is None:
            return None
        seconds = perf_counter() - began
        answered = Answered(caller.request_id or "", *_SHOW, 200, seconds, caller.user_id, video_id)
        return self._reply(answered, text, [(b"etag", b'W/"%d"' % body["seq"])])

    def _caller(self, headers: Headers, scope: str) -> Caller | None:
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        found = self._doorkeeper.known(authorization, scope)
        if found is None:
            return None
        given = headers.get(_REQUEST_ID, b"").decode("latin-1")
        return replace(found, request_id=tracing.id_of(given))

    async def _gathered(
        self, gathering: Gathering, item: Any, work: Work[Any, Any], errands: Errands
    ) -> Any:
        """What the work makes of this item; as `Gathering.ask`, but only this request waits."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Any] = loop.create_future()

        def settle(outcome: Callable[[], Any]) -> None:
            if not waiting.done():
                try:
                    waiting.set_result(outcome())
                except Exception as error:
                    waiting.set_exception(error)

        ticket = gathering.put(item, work, lambda: errands.add(lambda: settle(ticket.outcome)))
        last = loop.time() + gathering.patience
        self._deadlines.set(waiting, last, lambda: settle(ticket.late))
        try:
            return await waiting
        finally:
            self._deadlines.clear(waiting)

    def _reply(self, answered: Answered, text: bytes, more: list[tuple[bytes, bytes]]) -> Reply:
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._note)
        self._answered.append(answered)
        more += [
            (b"content-length", b"%d" % len(text)),
            (_REQUEST_ID, answered.request_id.encode("latin-1")),
        ]
        return Reply(answered.status, _ALWAYS + more, text)

    def _note(self) -> None:
        answered, self._answered = self._answered, []
        with logs.together():
            for one in answered:
                tracing.note(self._ctx.meters, one)
