"""Edits and extensions: videos whose source is named in the request."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from orchestrator.context import Context
from orchestrator.ids import new_video_id
from tests.api_client import ApiClient
from tests.contract.facade_stage import ME, refused, shown
from tests.core import row, submit
from tests.factories import complete


@pytest.mark.parametrize("path", ["/v1/videos/edits", "/v1/videos/extensions"])
@pytest.mark.parametrize(
    "named",
    [{"video": {"id": "ID"}}, {"video[id]": "ID"}, {"video": "ID"}, {"video": '{"id": "ID"}'}],
)
def test_source_is_found_however_it_is_named(
    api: ApiClient, ctx: Context, path: str, named: dict[str, Any]
) -> None:
    """As an object in JSON, in the fields of a form, or as the bare id."""
    source = submit(ctx, ME)
    complete(ctx, source.id)
    body: dict[str, Any] = {"prompt": "more", "seconds": "4"}
    for name, value in named.items():
        body[name] = (
            {"id": source.id} if isinstance(value, dict) else value.replace("ID", source.id)
        )
    as_json = isinstance(named.get("video"), dict)

    response = (
        api.post(path, json=body)
        if as_json
        else api.post(path, data=body, content_type="multipart/form-data")
    )

    assert source.id == shown(response)["remixed_from_video_id"]


def test_extension_tells_both_lengths_together_when_accepted(api: ApiClient, ctx: Context) -> None:
    """What is sent to the provider, and paid, is what is added."""
    source = submit(ctx, ME)
    complete(ctx, source.id)

    video = shown(
        api.post(
            "/v1/videos/extensions",
            json={"prompt": "more", "seconds": 6, "video": {"id": source.id}},
        )
    )

    made = row(ctx, video["id"])
    assert ("8", "6", "extension") == (video["seconds"], made.extension_seconds, made.kind)
    assert 0.6 == float(made.cost_estimated)


@pytest.mark.parametrize("seconds", ["", "0", "61", "six"])
def test_extension_is_refused_when_it_adds_no_such_length(
    api: ApiClient, ctx: Context, seconds: str
) -> None:
    """No text at all is not a length either."""
    source = submit(ctx, ME)
    complete(ctx, source.id)
    body = {"prompt": "more", "seconds": seconds, "video": {"id": source.id}}

    assert "seconds" == refused(api.post("/v1/videos/extensions", json=body), 400)["param"]


@pytest.mark.parametrize("path", ["remix", "edits", "extensions"])
def test_source_must_be_there_and_finished_when_named(
    api: ApiClient, ctx: Context, path: str
) -> None:
    """404 for what is not there or somebody else's, 409 for what is not finished."""
    mine, foreign = submit(ctx, ME), submit(ctx, "bob")
    complete(ctx, foreign.id)

    def ask(video_id: str) -> TestResponse:
        body = {"prompt": "more", "seconds": "4", "video": {"id": video_id}}
        return api.post(f"/v1/videos/{f'{video_id}/' if path == 'remix' else ''}{path}", json=body)

    unfinished = ask(mine.id)
    assert "not_completed" == refused(unfinished, 409)["code"]
    assert "false" == unfinished.headers["x-should-retry"]
    for video_id in (foreign.id, new_video_id(), "strange"):
        assert "not_found" == refused(ask(video_id), 404)["code"]


@pytest.mark.parametrize("path", ["remix", "edits", "extensions"])
def test_source_is_used_once_when_a_key_comes_again(
    api: ApiClient, ctx: Context, path: str
) -> None:
    """Whatever is made of it; and a key stands for one request only."""
    source = submit(ctx, ME)
    complete(ctx, source.id)

    def ask(prompt: str) -> TestResponse:
        body = {"prompt": prompt, "seconds": "4", "video": {"id": source.id}}
        place = f"{source.id}/" if path == "remix" else ""
        return api.post(f"/v1/videos/{place}{path}", json=body, headers={"Idempotency-Key": "k-1"})

    first, again, other = ask("more"), ask("more"), ask("less")

    assert shown(first)["id"] == shown(again)["id"]
    assert "true" == again.headers["Idempotent-Replayed"]
    assert "idempotency_key_reused" == refused(other, 422)["code"]
