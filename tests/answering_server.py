"""An orchestrator's server that answers what a test tells it to, over a real socket on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    line: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One answer. `cut` ends the connection after so many bytes of the body; -1: at once."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None

    def encoded(self) -> tuple[bytes, dict[str, str]]:
        """Its bytes and headers."""
        if isinstance(self.body, bytes):
            return self.body, dict(self.headers)
        return json.dumps(self.body).encode(), {"Content-Type": "application/json", **self.headers}


class AnsweringServer:
    """For each `METHOD path` its answers in turn, the last for ever; remembers what was asked."""

    def __init__(self, port: int):
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[Asked] = []
        self.connections = 0
        self._answers: dict[str, list[Answer]] = {}

    def answer(self, line: str, *answers: Answer | dict[str, Any]) -> None:
        """Set the answers to a request line such as `GET /api/quota`, query included."""
        self._answers[line] = [
            answer if isinstance(answer, Answer) else Answer(answer) for answer in answers
        ]

    def lines(self) -> list[str]:
        """The request lines in the order of their arrival."""
        return [asked.line for asked in self.asked]

    def reply_to(self, asked: Asked) -> Answer:
        """Remember a request and choose its answer."""
        self.asked.append(asked)
        answers = self._answers.get(asked.line)
        if not answers:
            return Answer(refusal(404, "not_found", "There is no such thing here."), 404)
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def answering_server() -> Iterator[AnsweringServer]:
    """A server in threads of this process, until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        answering = AnsweringServer(server.server_port)
        server.answering = answering  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield answering
        finally:
            server.shutdown()
            thread.join()


def refusal(status: int, code: str, detail: str, *, param: str | None = None) -> dict[str, Any]:
    """A problem document."""
    error = {"message": detail, "type": "invalid_request_error", "param": param, "code": code}
    return {"status": status, "code": code, "detail": detail, "title": code, "error": error}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024

    def setup(self) -> None:
        super().setup()
        self.server.answering.connections += 1  # type: ignore[attr-defined]

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(f"{self.command} {self.path}", self.headers, body)
        answer = self.server.answering.reply_to(asked)  # type: ignore[attr-defined]
        if answer.cut == -1:
            self.close_connection = True
            return
        data, headers = answer.encoded()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if answer.cut is None else data[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    # The names that http.server wants.
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
