"""Download and thumbnail: whole, in parts, conditional."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from api import create_app
from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.factories import MOVIE, complete, make_image


@pytest.fixture
def video_id(api: ApiClient, ctx: Context) -> str:
    """A completed video."""
    made = api.post("/api/videos", json={"prompt": "a red kite"}).json
    assert made is not None
    return complete(ctx, made["id"]).id


def events(api: ApiClient) -> list[dict[str, Any]]:
    """The downloads that were noted."""
    found = api.get("/api/events?types=downloaded").json
    assert found is not None
    return [event["event_data"] for event in found["data"]]


def test_download_sends_all_when_asked(api: ApiClient, video_id: str) -> None:
    """With a type, a length, a name, and no guessing by browsers."""
    response = api.get(f"/api/videos/{video_id}/download")

    assert (200, MOVIE) == (response.status_code, response.data)
    expected = {
        "Content-Type": "video/mp4",
        "Content-Length": str(len(MOVIE)),
        "Accept-Ranges": "bytes",
        "ETag": f'"{"ab" * 32}"',
        "Content-Disposition": f'attachment; filename="{video_id}.mp4"',
        "X-Content-Type-Options": "nosniff",
    }
    assert expected == {name: response.headers[name] for name in expected}


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-10", slice(-10, None)),
        ("bytes=5-5", slice(5, 6)),
        (f"bytes=10-{10**15}", slice(10, None)),
    ],
)
def test_download_sends_a_part_when_a_range_is_wanted(
    api: ApiClient, video_id: str, header: str, part: slice
) -> None:
    """206 says which part of how much."""
    response = api.get(f"/api/videos/{video_id}/download", headers={"Range": header})

    wanted = MOVIE[part]
    start = MOVIE.index(wanted) if len(wanted) > 300 else part.indices(len(MOVIE))[0]
    assert (206, wanted) == (response.status_code, response.data)
    assert (
        f"bytes {start}-{start + len(wanted) - 1}/{len(MOVIE)}" == response.headers["Content-Range"]
    )
    assert str(len(wanted)) == response.headers["Content-Length"]


@pytest.mark.parametrize("header", ["bytes=0-1,4-5", "lines=0-1", "bytes=5-2", "bytes=-", "x"])
def test_download_sends_all_when_the_range_is_not_understood(
    api: ApiClient, video_id: str, header: str
) -> None:
    """An unreadable range counts as none."""
    response = api.get(f"/api/videos/{video_id}/download", headers={"Range": header})

    assert (200, MOVIE) == (response.status_code, response.data)


@pytest.mark.parametrize("header", [f"bytes={len(MOVIE)}-", "bytes=99999999-", "bytes=-0"])
def test_download_answers_416_when_the_range_lies_behind_the_end(
    api: ApiClient, video_id: str, header: str
) -> None:
    """With the size, so that the client can ask better."""
    response = api.get(f"/api/videos/{video_id}/download", headers={"Range": header})

    assert (416, f"bytes */{len(MOVIE)}") == (
        response.status_code,
        response.headers["Content-Range"],
    )


def test_download_answers_304_when_the_client_has_it(api: ApiClient, video_id: str) -> None:
    """Nothing is sent twice to a client that remembers the ETag."""
    response = api.get(
        f"/api/videos/{video_id}/download", headers={"If-None-Match": f'"x", "{"ab" * 32}"'}
    )

    assert (304, b"") == (response.status_code, response.data)
    assert f'"{"ab" * 32}"' == response.headers["ETag"]


@pytest.mark.parametrize(
    ("condition", "status"),
    [(f'"{"ab" * 32}"', 206), ('"other"', 200), ("Sun, 22 Nov 2026 10:00:00 GMT", 200)],
)
def test_download_sends_a_part_only_of_the_same_file_when_if_range_is_given(
    api: ApiClient, video_id: str, condition: str, status: int
) -> None:
    """Parts of two files must not be glued together."""
    response = api.get(
        f"/api/videos/{video_id}/download", headers={"Range": "bytes=0-9", "If-Range": condition}
    )

    assert status == response.status_code


def test_download_sends_headers_only_when_asked_by_head(api: ApiClient, video_id: str) -> None:
    """HEAD says the same as GET would."""
    response = api.head(f"/api/videos/{video_id}/download")

    assert (200, str(len(MOVIE)), b"") == (
        response.status_code,
        response.headers["Content-Length"],
        response.data,
    )
    assert [] == events(api)


def test_download_is_noted_once_when_a_player_fetches_parts(api: ApiClient, video_id: str) -> None:
    """With address and user agent; the parts behind the first one are the same download."""
    for header in ("bytes=0-", "bytes=100-200", "bytes=201-"):
        api.get(
            f"/api/videos/{video_id}/download",
            headers={"Range": header, "User-Agent": "player/1.0"},
        )

    noted = {"ip": "127.0.0.1", "user_agent": "player/1.0", "variant": "video"}
    assert [noted] == events(api)


def test_download_names_the_client_when_a_proxy_of_ours_passes_it_on(
    make_ctx: Callable[..., Context], video_id: str
) -> None:
    """The proxy says whom it has seen."""
    proxied = client(create_app(make_ctx(trusted_proxies=(ip_network("127.0.0.1"),))))

    proxied.get(
        f"/api/videos/{video_id}/download", headers={"X-Forwarded-For": "10.9.9.9, 203.0.113.7"}
    )

    assert ["203.0.113.7"] == [noted["ip"] for noted in events(proxied)]


def test_thumbnail_is_shown_inline_when_there_is_one(api: ApiClient, video_id: str) -> None:
    """A picture for a page; no event for it."""
    response = api.get(f"/api/videos/{video_id}/thumbnail")

    assert (200, make_image("WEBP")) == (response.status_code, response.data)
    assert response.headers["Content-Disposition"].startswith("inline")
    assert [] == events(api)


def test_download_answers_404_when_the_variant_was_never_made(
    api: ApiClient, video_id: str
) -> None:
    """Not every provider makes spritesheets."""
    picture = api.get(f"/api/videos/{video_id}/download?variant=thumbnail")
    sheet = api.get(f"/api/videos/{video_id}/download?variant=spritesheet")

    assert (200, "image/webp", 404) == (
        picture.status_code,
        picture.mimetype,
        sheet.status_code,
    )


@pytest.mark.parametrize("query", ["variant=poster", "quality=high"])
def test_download_answers_400_when_the_query_breaks_a_rule(
    api: ApiClient, video_id: str, query: str
) -> None:
    """Unknown variants and parameters are named."""
    response = api.get(f"/api/videos/{video_id}/download?{query}")

    assert 400 == response.status_code


def test_download_answers_409_when_the_video_is_not_completed(api: ApiClient) -> None:
    """Come back later: there are no bytes yet."""
    made = api.post("/api/videos", json={"prompt": "x"}).json
    assert made is not None

    response = api.get(f"/api/videos/{made['id']}/download")

    assert 409 == response.status_code
    assert response.json is not None
    assert "not_ready" == response.json["code"]


def test_download_answers_503_when_the_bytes_are_lost(
    api: ApiClient, ctx: Context, video_id: str
) -> None:
    """A loss is not the client's fault, and no broken 200."""
    ctx.storage.delete(f"videos/{video_id}/{'ab' * 32}.mp4")

    response = api.get(f"/api/videos/{video_id}/download")

    assert 503 == response.status_code
    assert response.json is not None
    assert "content_missing" == response.json["code"]


def test_download_redirects_when_the_storage_signs_urls(ctx: Context, video_id: str) -> None:
    """An object store sends the bytes itself; HEAD is answered here."""
    signing = client(create_app(replace(ctx, storage=Signing(ctx.storage))))

    response = signing.get(f"/api/videos/{video_id}/download")
    head = signing.head(f"/api/videos/{video_id}/download")

    assert (302, 200) == (response.status_code, head.status_code)
    assert f"https://bucket.example/{video_id}.mp4?expires=900" == response.headers["Location"]


def test_download_closes_the_file_when_the_client_leaves(ctx: Context, video_id: str) -> None:
    """A client that goes away in the middle holds nothing open here."""
    storage = Counting(ctx.storage)
    app = create_app(replace(ctx, storage=storage))

    response = app.test_client().get(f"/api/videos/{video_id}/download", buffered=False)
    next(iter(response.response))
    response.close()

    assert [1] == storage.closed


@dataclass
class Signing:
    """A storage that has URLs of its own."""

    inner: Any

    def signed_url(self, key: str, *, expires_in: timedelta, filename: str | None) -> str:
        """Where the store would send it from."""
        return f"https://bucket.example/{filename}?expires={expires_in.seconds}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Counting:
    """A storage that counts what is closed again."""

    def __init__(self, inner: Any):
        self.inner = inner
        self.closed: list[int] = []

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Any:
        """The content, with a close that is noted."""
        content = self.inner.open(key, start=start, end=end)

        def close() -> None:
            content.close()
            self.closed.append(1)

        return replace(content, close=close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
