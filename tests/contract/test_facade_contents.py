"""The bytes of a video, as the OpenAI API gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from api import create_app
from orchestrator.context import Context
from tests.api_client import ApiClient, client
from tests.contract.facade_stage import ME, refused
from tests.core import sql, submit
from tests.factories import MOVIE, complete


def test_content_is_whole_or_in_parts_when_asked_for(api: ApiClient, ctx: Context) -> None:
    """With the length, the type, and an ETag that spares a second download."""
    video = submit(ctx, ME)
    complete(ctx, video.id)
    address = f"/v1/videos/{video.id}/content"

    whole = api.get(address)
    part = api.get(address, headers={"Range": "bytes=4-7"})
    same = api.get(address, headers={"If-None-Match": whole.headers["ETag"]})
    head = api.head(address)

    assert (MOVIE, "video/mp4", str(len(MOVIE))) == (
        whole.data,
        whole.mimetype,
        whole.headers["Content-Length"],
    )
    assert (206, b"ftyp") == (part.status_code, part.data)
    assert (304, b"") == (same.status_code, same.data)
    assert (200, str(len(MOVIE))) == (head.status_code, head.headers["Content-Length"])


def test_content_is_refused_when_there_is_none(api: ApiClient, ctx: Context) -> None:
    """404 while it is not ready, 410 once it was removed, 400 for what is no variant."""
    video = submit(ctx, ME)
    address = f"/v1/videos/{video.id}/content"
    waiting = refused(api.get(address), 404)
    complete(ctx, video.id)
    strange = refused(api.get(f"{address}?variant=poster"), 400)
    missing = refused(api.get(f"{address}?variant=spritesheet"), 404)
    behind = refused(api.get(address, headers={"Range": "bytes=999999999-"}), 416)
    sql(ctx, "update videos set purged_at = now()")
    gone = refused(api.get(address), 410)

    errors = (waiting, strange, missing, behind, gone)
    assert [
        "content_not_ready",
        "invalid_value",
        "not_found",
        "range_not_satisfiable",
        "gone",
    ] == [error["code"] for error in errors]
    assert "not ready yet" in waiting["message"]


@pytest.mark.parametrize(
    ("headers", "status"), [({"X-Stainless-Lang": "python"}, 302), ({}, 200), (None, 206)]
)
def test_content_is_redirected_for_the_sdk_alone_when_the_storage_signs_urls(
    ctx: Context, headers: dict[str, str] | None, status: int
) -> None:
    """Bifrost follows no redirect, and n8n takes its key along, which S3 refuses."""
    video = submit(ctx, ME)
    complete(ctx, video.id)
    signing = client(create_app(replace(ctx, storage=Signing(ctx.storage))))

    response = signing.get(
        f"/v1/videos/{video.id}/content",
        headers={"Range": "bytes=0-7"} if headers is None else headers,
    )

    assert status == response.status_code
    assert (status == 302) == (response.headers.get("Location") == Signing.URL)
    assert status == 302 or MOVIE[: 8 if status == 206 else None] == response.data


@dataclass
class Signing:
    """A storage that has URLs of its own."""

    URL = "https://bucket.example/a.mp4"
    inner: Any

    def signed_url(self, key: str, **_: Any) -> str:
        """Where the store would send it from."""
        return self.URL

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
