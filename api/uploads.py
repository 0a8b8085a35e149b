"""Takes in the bodies of requests, in the event loop: a client that sends slowly, or stops, keeps
no thread waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Any, TypeAlias

from flask import Flask, request
from werkzeug.exceptions import RequestTimeout

from api.batches import BATCH_BYTES
from api.bodies import FORM_BYTES
from api.deadlines import Deadlines, Late
from orchestrator.errors import DependencyDown

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

REFUSAL = "orchestrator.refusal"
"""In the environment of a request: the exception that says why its body is not all there."""

LARGEST = max(FORM_BYTES, BATCH_BYTES)
"""What the most generous address takes. What is announced as larger is not read at all; of what
nobody announced, so much more is that whoever reads it can tell.
"""
BYTES_A_SECOND = 16 * 1024
"""Whoever sends faster has all the time that it takes."""
IN_MEMORY = 64 * 1024
ON_DISK = 512 * 1024 * 1024
"""Of all larger bodies that are in this process at a time."""


@dataclass(slots=True, eq=False)
class Upload:
    """A body: `stream`, at its beginning once it has been taken. `spooled`: bytes on the disk."""

    stream: IO[bytes] = field(default_factory=BytesIO)
    size: int = 0
    spooled: int = 0
    refusal: Exception | None = None

    def peek(self) -> bytes:
        """All of it; whoever reads it next begins at the beginning, too."""
        body = self.stream.read()
        self.stream.seek(0)
        return body


class Uploads:
    """The bodies that come to one process.

    seconds: a client has so long to send its body, and a second more for every 16 KiB of it.
    room: how many bytes may lie on the disk.
    """

    def __init__(self, *, seconds: float, room: int = ON_DISK):
        self._seconds = seconds
        self._room = room
        self._deadlines = Deadlines()

    async def take(self, scope: Scope, receive: Receive) -> Upload | None:
        """The body of this request, to be given to `close`; None: its client has gone."""
        upload = Upload()
        names = dict(scope["headers"])
        length = names.get(b"content-length", b"0")
        announced = int(length) if length.isdigit() else 0
        if announced > LARGEST or (announced == 0 and b"transfer-encoding" not in names):
            return upload
        try:
            if await self._fill_in_time(upload, receive):
                upload.stream.seek(0)
                return upload
        except BaseException:
            self.close(upload)
            raise
        self.close(upload)
        return None

    def close(self, upload: Upload) -> None:
        """Nobody needs this body any longer."""
        self._room += upload.spooled
        upload.stream.close()

    async def _fill_in_time(self, upload: Upload, receive: Receive) -> bool:
        """Whether there is somebody to answer."""
        task, late = asyncio.current_task(), False

        def end() -> None:
            nonlocal late
            late = task is not None and task.cancel()

        try:
            return await self._fill(upload, receive, end)
        except asyncio.CancelledError:
            if task is None or not late or task.uncancel() > 0:
                raise
            upload.refusal = RequestTimeout("The body of the request did not come in time.")
        except DependencyDown as error:
            upload.refusal = error
        finally:
            self._deadlines.clear(upload)
        return True

    async def _fill(self, upload: Upload, receive: Receive, end: Late) -> bool:
        last = asyncio.get_running_loop().time() + self._seconds
        more = True
        while more and upload.size <= LARGEST:
            self._deadlines.set(upload, last + upload.size / BYTES_A_SECOND, end)
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            self._keep(upload, message.get("body", b""))
            more = message.get("more_body", False)
        return True

    def _keep(self, upload: Upload, chunk: bytes) -> None:
        """Write down what has come: into the pages of the disk's cache, which is no waiting."""
        upload.size += len(chunk)
        if upload.size > IN_MEMORY:
            taken = upload.size - upload.spooled
            if taken > self._room:
                raise DependencyDown("Too much is being uploaded here.", code="too_many_uploads")
            self._room -= taken
            if not upload.spooled:
                upload.stream = _spooled(upload.stream)
            upload.spooled = upload.size
        upload.stream.write(chunk)


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """The same bytes on the disk, where the next ones follow."""
    file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed after the answer, by `close`
    stream.seek(0)
    file.write(stream.read())
    return file


def environ_of(upload: Upload) -> dict[str, Any]:
    """What the application is told of a body, as PEP 3333 wants it."""
    told: dict[str, Any] = {"wsgi.input": upload.stream, "wsgi.input_terminated": True}
    return told if upload.refusal is None else told | {REFUSAL: upload.refusal}


def install(app: Flask) -> None:
    """Let this application refuse requests whose body is not all there, whatever they ask for."""
    app.before_request(_refuse)


def _refuse() -> None:
    refusal = request.environ.get(REFUSAL)
    if refusal is not None:
        raise refusal
