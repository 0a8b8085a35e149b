"""The server as commands see it: JSON in, JSON out, and errors that end a command as they should.

Every request may be repeated when no answer came: reads change nothing, changes are idempotent by
themselves, and what creates carries an Idempotency-Key, or is asked for only once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import click

from orchestrator import __version__
from orchestrator.cli.connection import Connection, NoAnswer, fetched, redirected
from orchestrator.cli.errors import Failed, Refused, Unreachable
from orchestrator.cli.stream import Stream

T = TypeVar("T")
Json = dict[str, Any]

TRIES = 4
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 30.0
_UNAVAILABLE = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance; tests bring their own."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries."""

    content_type: str
    data: bytes

    @classmethod
    def of_json(cls, value: Any) -> Body:
        """A JSON body."""
        return cls("application/json", json.dumps(value).encode())


class Server:
    """One server, one caller. Use as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        user: str | None = None,
        clock: Clock | None = None,
    ):
        self._connection = Connection(url)
        self.clock = clock or Clock()
        self._headers = {
            "Accept": "application/json",
            "User-Agent": f"orchestrator-cli/{__version__}",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        if user:
            self._headers["X-User-Id"] = user

    def get(self, path: str, **query: Any) -> Json:
        """Read something. `query` values that are None are left out; lists repeat their name.

        Raises:
            Unreachable: no answer, also after some tries; or a dependency of the server is down.
            Refused: it said no.
            Failed: it answered with something that is not ours to understand.
        """
        return self._json("GET", _target(path, query))

    def post(
        self, path: str, body: Body | None = None, *, key: str | None = None, once: bool = False
    ) -> Json:
        """Change something, or create it: that needs an Idempotency-Key, or must happen only
        `once`: not again when no answer came. Raises as `get`.
        """
        extra = {} if key is None else {"Idempotency-Key": key}
        return self._json("POST", path, body, extra, tries=1 if once else TRIES)

    def patch(self, path: str, body: Body) -> Json:
        """Change a part of something. Raises as `get`."""
        return self._json("PATCH", path, body)

    def put(self, path: str, body: Body) -> Json:
        """Set something. Raises as `get`."""
        return self._json("PUT", path, body)

    def delete(self, path: str) -> Json:
        """Remove something. Raises as `get`."""
        return self._json("DELETE", path)

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str], **query: Any) -> Iterator[Stream]:
        """Open a file; status 200 or 206. Our key is not shown where it redirects to.

        Raises:
            Refused, Unreachable, Failed: as `get`.
        """
        target = _target(path, query)
        connection = self._connection
        response = self._send(
            "GET", target, None, {**headers, "Accept": "*/*"}, lambda answer: answer
        )
        elsewhere = redirected(connection.url + target, response)
        if elsewhere is not None:
            connection, response = fetched(elsewhere, headers)
        try:
            if response.status not in {200, 206}:
                raise Refused(response.status, {})
            yield Stream(connection, response)
        finally:
            # A body that was not read to its end would be taken for the next answer.
            connection.close()

    def _json(
        self,
        method: str,
        target: str,
        body: Body | None = None,
        extra: Mapping[str, str] | None = None,
        *,
        tries: int = TRIES,
    ) -> Json:
        data = self._send(method, target, body, extra or {}, self._connection.read, tries=tries)
        if not data:
            return {}
        value = _object(data)
        if value is None:
            raise Failed(
                f"{self._connection.url} does not answer as an orchestrator does: is the URL right?"
            )
        return value

    def _send(
        self,
        method: str,
        target: str,
        body: Body | None,
        extra: Mapping[str, str],
        take: Callable[[HTTPResponse], T],
        *,
        tries: int = TRIES,
    ) -> T:
        """What `take` makes of an answer below 400; tries again what may pass by itself."""
        headers = {**self._headers, **extra}
        if body is not None:
            headers["Content-Type"] = body.content_type
        pause = FIRST_PAUSE
        for left in reversed(range(tries)):
            wait = pause * (0.5 + self.clock.dice())
            try:
                response = self._connection.send(
                    method, target, headers=headers, body=None if body is None else body.data
                )
                if response.status < 400:
                    return take(response)
                refusal = self._refusal(response)
            except NoAnswer as error:
                failure: click.ClickException = self._unreachable(str(error))
            else:
                failure = refusal if refusal.status < 500 else Unreachable(refusal.message)
                if not _passes(refusal):
                    raise refusal
                wait = max(wait, _retry_after(response))
            if not left or wait > LONGEST_PAUSE:
                raise failure
            self.clock.sleep(wait)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _refusal(self, response: HTTPResponse) -> Refused:
        return Refused(response.status, _object(self._connection.read(response)) or {})

    def _unreachable(self, reason: str) -> Unreachable:
        return Unreachable(
            f"No answer from {self._connection.url}: {reason}. Is it running (orchestrator up)?"
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def video_path(video_id: str, action: str = "") -> str:
    """The path of a video, whatever was typed as its id."""
    return f"/api/videos/{quote(video_id, safe='')}{action}"


def _target(path: str, query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None and value != ()}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _passes(refusal: Refused) -> bool:
    """Whether it may be granted soon. A quota is a 429 too, but a spent one stays spent."""
    return refusal.status in _UNAVAILABLE or (
        refusal.status == 429 and refusal.code == "rate_limited"
    )


def _object(data: bytes) -> Json | None:
    """The JSON object in an answer; None if it is anything else."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _retry_after(response: HTTPResponse) -> float:
    try:
        return float(response.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
