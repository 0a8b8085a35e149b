"""Addresses and headers that are meant to do harm, byte for byte, against the real server."""

from __future__ import annotations

import json
import re

import pytest

from tests.web_process import Starter, Web

PATHS = [
    b"/api/videos/../admin/keys",
    b"/api/videos/%2e%2e%2fadmin%2fkeys",
    b"/api/videos/..%2f..%2f..%2fetc%2fpasswd/download",
    b"/api/videos/%00/download",
    b"/api/videos//etc/passwd/download",
    b"/api/videos/%252e%252e%252f/thumbnail",
    b"/api/videos/..%5c..%5cwindows/download",
    b"/api/videos/video_00000000000000000000000000000000%00.mp4",
    b"/api/videos/%0d%0aSet-Cookie:%20evil=1",
    b"/api/videos/%ff%fe",
    b"/api/videos/" + b"a" * 9000,
    b"/api/videos?cursor=..%2f..%2f",
    b"/api/videos?cursor=%00",
    b"/api/videos?q=%00",
    b"/api/users/..%2fadmin/quota",
    b"/static/../__init__.py",
    b"/static/%2e%2e/__init__.py",
    b"/static/..%2f__init__.py",
    b"/static/%2fetc%2fpasswd",
    b"/static//etc/passwd",
    b"/static/%00",
    b"/v1/videos/..%2f..%2fetc%2fpasswd/content",
    b"/v1/models/%0d%0aSet-Cookie:%20evil=1",
    b"/webhooks/..%2f",
    b"//evil.example/%2f..",
    b"/%0d%0aSet-Cookie:%20evil=1",
    b"/\xff\xfe",
]
HEADERS = [
    b"X-Request-Id: \x1b[31mred",
    b"X-Request-Id: a b",
    b"X-Request-Id: caf\xc3\xa9",
    b"X-Request-Id: a\rSet-Cookie: evil=1",
    b"X-Request-Id: " + b"a" * 200,
    b'X-Request-Id: ","level":"forged\n',
    b"X-User-Id: ann\xff\xfe",
    b"X-User-Id: ann\x1b[31m",
    b"X-User-Id: ann\tbob",
    b"X-User-Id: " + b"u" * 256,
    b"Idempotency-Key: \xc3\xa9",
    b"Idempotency-Key: a\tb",
    b"Idempotency-Key: " + b"k" * 256,
    b"Last-Event-ID: \xff",
    b"Last-Event-ID: 1\tdata: forged",
    b"Prefer: wait=\xb2",
    b"Prefer: wait=99999999999999999999",
    b"Range: bytes=\xb2-",
    b"If-None-Match: \xff",
    b"Cookie: orchestrator_session=\xff; a=\xc3\xa9",
    b"Authorization: Bearer \xff",
    b"Authorization: Basic !",
    b"Content-Type: multipart/form-data; boundary=\xff",
    b"Host: evil.example",
    b"Origin: https://evil.example",
    b"Content-Length: -1",
    b"Content-Length: 1, 2",
    b"Transfer-Encoding: gzip",
    b"X-Forwarded-For: 127.0.0.1\x00",
]
_ID = re.compile(rb"^x-request-id: ([!-~]{1,128})\r?$", re.MULTILINE | re.IGNORECASE)


@pytest.fixture
def server(start: Starter) -> Web:
    """A server whose log is text for people: there, a line break in a value would be one."""
    return start(LOG_FORMAT="pretty", REQUEST_TIMEOUT_SECONDS="2")


def request(path: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    """A request with these headers."""
    named = (
        headers if any(h.startswith(b"Host:") for h in headers) else (b"Host: localhost", *headers)
    )
    lines = [method + b" " + path + b" HTTP/1.1", b"Connection: close", *named, b"", b""]
    return b"\r\n".join(lines)


def harm(answer: bytes) -> list[str]:
    """What is wrong with an answer to somebody who means no good."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head[9:12] or 0)
    return [
        found
        for found, there in {
            "no answer": not status,
            "a fault of ours": status >= 500,
            "a header that they wrote": b"\nset-cookie:" in head.lower(),
            "a file": b"root:" in body or b"import " in body,
            "their text as an id": b"x-request-id" in head.lower() and not _ID.search(head),
        }.items()
        if there
    ]


def test_addresses_lead_nowhere_when_they_climb_or_break(server: Web) -> None:
    """No file, no header of theirs, no fault of ours; and all but readable lists are refused."""
    answers = {path: server.exchange(request(path)) for path in PATHS}

    assert {} == {path: found for path, answer in answers.items() if (found := harm(answer))}
    assert set() == {path for path, answer in answers.items() if answer[9:10] != b"4"}


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_headers_stay_values_when_they_are_hostile(server: Web, method: bytes) -> None:
    """Whatever is in them comes back neither as a header nor in the log."""
    answers = {
        header: server.exchange(request(b"/api/videos", header, method=method))
        for header in HEADERS
    }
    server.process.terminate()
    server.process.wait(30)
    written = server.log.read_text()

    assert {} == {header: found for header, answer in answers.items() if (found := harm(answer))}
    assert "\x1b" not in written
    assert [] == [line for line in written.splitlines() if not line.startswith("2")]


def test_log_has_one_line_when_an_address_brings_line_breaks(server: Web) -> None:
    """What stands in an address makes no line of its own."""
    forged = b"/api/videos/%0A2026-11-22T00:00:00Z%20[info]%20forged%1B[31m"
    server.exchange(request(forged))
    server.process.terminate()
    server.process.wait(30)

    lines = server.log.read_text().splitlines()

    assert [] == [line for line in lines if line.startswith("2026-11-22T00:00:00Z")]
    assert "\x1b" not in "".join(lines)


def test_location_is_our_own_when_the_host_is_not(server: Web) -> None:
    """It names a path only: whoever lies about the host leads nobody away."""
    body = json.dumps({"prompt": "a\r\nLocation: https://evil.example", "seconds": "2"}).encode()
    length = b"Content-Length: %d" % len(body)
    media = b"Content-Type: application/json"

    answer = server.exchange(request(b"/api/videos", length, media, method=b"POST") + body)

    locations = re.findall(rb"^location: (.*?)\r$", answer, re.MULTILINE | re.IGNORECASE)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert 1 == len(locations)
    assert re.fullmatch(rb"/api/videos/video_[0-9a-f]{32}", locations[0])
