"""What only a bucket can do wrong: servers that refuse, fail or are away, and forks."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage import open_storage

MIB = 1024 * 1024
AWS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
UPLOAD_BEGUN = (
    b"<InitiateMultipartUploadResult><UploadId>up</UploadId></InitiateMultipartUploadResult>"
)


MINUTE = timedelta(minutes=1)

FORK = """
import os, sys
from datetime import timedelta
from orchestrator.storage import open_storage

storage = open_storage(sys.argv[1], {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"})
if sys.argv[2] == "used":
    storage.signed_url("k", expires_in=timedelta(minutes=1), filename=None)
if os.fork():
    os.wait()
else:
    try:
        storage.put("k", [b"bytes"], content_type="text/plain")
        print("stored", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
"""


@contextmanager
def server(answer):
    """A server on loopback and the list of what it was asked.

    `answer(method, target)` gives the status, the body and how many bytes to announce.
    """
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append((self.command, self.path))
            status, body, announced = answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(announced))
            self.send_header("ETag", '"tag"')
            self.send_header("Last-Modified", "Sun, 01 Mar 2026 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)
            self.close_connection = announced > len(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, *_):
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", requests
        finally:
            http.shutdown()
            thread.join()


def say(status, body=b""):
    return status, body, len(body)


def put(storage, key, data=b"bytes"):
    storage.put(key, [data], content_type="application/octet-stream")


def test_upload_is_aborted_when_a_part_is_refused():
    """A failed multipart upload is taken back, because S3 bills the parts of an open one."""

    def answer(method, target):
        if method == "POST":
            return say(200, UPLOAD_BEGUN)
        return say(204) if method == "DELETE" else say(400, b"<Error><Code>Bad</Code></Error>")

    with server(answer) as (address, requests):
        storage = open_storage(f"s3://bucket?endpoint={address}", AWS)
        with pytest.raises(StorageError, match="does not answer as it should"):
            put(storage, "k", b"x" * 20 * MIB)

    assert ("DELETE", "/bucket/k?uploadId=up") in requests


@pytest.mark.parametrize("status", [401, 403])
def test_every_call_says_denied_when_the_server_refuses_us(status):
    """Wrong credentials are told from a broken server, and no address is told at all."""
    with server(lambda *_: say(status, b"<Error/>")) as (address, _):
        storage = open_storage(f"s3://bucket?endpoint={address}", AWS)
        for call in (
            storage.check,
            lambda: storage.open("k"),
            lambda: storage.stat("k"),
            lambda: storage.delete("k"),
        ):
            with pytest.raises(StorageError) as caught:
                call()

            assert caught.value.message == "The storage denies access."


def test_check_says_why_when_the_bucket_does_not_exist():
    """A missing bucket is not taken for missing content."""
    body = b"<Error><Code>NoSuchBucket</Code></Error>"
    with server(lambda *_: say(404, body)) as (address, _):
        storage = open_storage(f"s3://bucket?endpoint={address}", AWS)
        with pytest.raises(StorageError) as caught:
            storage.check()

    assert caught.value.message == "The bucket does not exist."


def test_calls_fail_when_nobody_listens():
    """A server that is away is a StorageError, after a few seconds of trying."""
    with server(lambda *_: say(200)) as (address, _):
        pass
    storage = open_storage(f"s3://bucket?endpoint={address}", AWS)

    with pytest.raises(StorageError, match="does not answer as it should"):
        put(storage, "k")


def test_calls_succeed_when_the_server_fails_once():
    """One 503 is tried again before anybody hears of it."""
    answers = iter([say(503), say(200)])
    with server(lambda *_: next(answers)) as (address, requests):
        storage = open_storage(f"s3://bucket/pre?endpoint={address}", AWS)
        put(storage, "k")

    assert requests == [("PUT", "/bucket/pre/k")] * 2


def test_download_fails_when_the_connection_ends_early():
    """A body that is shorter than announced is an error, never a short success."""

    with server(lambda *_: (200, b"x" * 1000, 5000)) as (address, _):
        storage = open_storage(f"s3://bucket?endpoint={address}", AWS)

        with storage.open("k") as content, pytest.raises(StorageError):
            list(content.chunks)


def test_endpoint_and_region_come_from_the_environment_when_the_url_has_none():
    """The usual AWS variables work, and the URL goes before them."""
    with server(lambda *_: say(200)) as (address, requests):
        env = {**AWS, "AWS_ENDPOINT_URL": address, "AWS_REGION": "eu-north-1"}
        storage = open_storage("s3://bucket", env)
        elsewhere = open_storage(
            f"s3://bucket?endpoint={address}&region=us-west-2",
            {**env, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"},
        )
        put(storage, "k")
        put(elsewhere, "k")

    assert requests == [("PUT", "/bucket/k")] * 2
    assert "eu-north-1" in storage.signed_url("k", expires_in=MINUTE, filename=None)
    assert "us-west-2" in elsewhere.signed_url("k", expires_in=MINUTE, filename=None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/pre", "https://bucket.s3.us-east-1.amazonaws.com/pre/k"),
        ("s3://my.bucket", "https://s3.us-east-1.amazonaws.com/my.bucket/k"),
        ("s3://bucket?endpoint=https://minio.test/", "https://minio.test/bucket/k"),
    ],
)
def test_bucket_is_addressed_by_host_at_aws_and_by_path_elsewhere(url, expected):
    """AWS gets the bucket in the host where its certificate allows it, others in the path."""
    signed = open_storage(url, AWS).signed_url("k", expires_in=MINUTE, filename="k.mp4")

    assert urlsplit(signed)._replace(query="").geturl() == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [("opened", "stored"), ("used", "the S3 storage was used before this process was forked")],
)
def test_forked_child_is_told_when_it_cannot_use_the_storage(before, expected):
    """A storage that was only opened works in a child; one that was used would hang there."""
    with server(lambda *_: say(200)) as (address, _):
        done = subprocess.run(
            [sys.executable, "-c", FORK, f"s3://bucket?endpoint={address}", before],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )

    assert done.stdout.strip() == expected
