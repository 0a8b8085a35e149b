"""Requests to an ASGI application, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from api.bridge import Bridge
from tests.wire import Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; `json` becomes its body, and its type unless `headers` name another one."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]] = ()
    json: Any = None
    query: str = ""


class Server:
    """Serves one application in an event loop, which lasts until it is closed."""

    def __init__(self, bridge: Bridge):
        self._bridge = bridge
        self._runner = asyncio.Runner()

    def ask(self, *asked: Asked) -> list[Answer]:
        """The answers to these requests, which come at the same time."""

        async def all_together() -> list[Answer]:
            return await asyncio.gather(*(_answer(self._bridge, one) for one in asked))

        return self._runner.run(all_together())

    def close(self) -> None:
        """End the loop."""
        self._runner.close()


async def _answer(bridge: Bridge, asked: Asked) -> Answer:
    body = b"" if asked.json is None else to_json(asked.json)
    headers = [(name.lower().encode(), value.encode()) for name, value in asked.headers]
    headers.append((b"host", b"localhost"))
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "method": asked.method,
        "raw_path": asked.path.encode(),
        "path": asked.path,
        "query_string": asked.query.encode(),
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 50_000),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await bridge(scope, receive, send)
    head, *parts = sent
    return Answer(
        head["status"],
        {name.decode(): value.decode() for name, value in head["headers"]},
        b"".join(part["body"] for part in parts),
    )
