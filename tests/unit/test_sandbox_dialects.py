"""What the dialects make of one and the same job."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.sandbox import replies
from orchestrator.sandbox.dialects import DIALECTS
from orchestrator.sandbox.errors import invalid
from orchestrator.sandbox.ids import inner_id, new_id, public_id
from orchestrator.sandbox.job import Failure, Job, State
from orchestrator.sandbox.scene import look_of

QUEUED, RUNNING = State("queued", 0), State("in_progress", 42)
DONE, FAILED = State("completed", 100, 1010.0), State("failed", 0)


def a_job(failure: Failure | None = None) -> Job:
    return Job(
        id="video_1",
        kind="create",
        prompt="a cat",
        model="sora-2",
        seconds=4,
        size="64x64",
        quality="standard",
        look=look_of("a cat", "", (64, 64), 4),
        created_at=1000.7,
        ready_at=1010.0,
        failure=failure,
    )


def shown(dialect: str, state: State, failure: Failure | None = None) -> dict[str, Any]:
    return replies.video(a_job(failure), state, DIALECTS[dialect], "retrieve", None)


def test_object_has_every_published_field_when_dialect_is_plain() -> None:
    """The plain dialect is the published protocol, types included."""
    expected = {
        "id": "video_1",
        "object": "video",
        "created_at": 1000,
        "status": "completed",
        "completed_at": 1010,
        "error": None,
        "expires_at": 4610,
        "model": "sora-2",
        "size": "64x64",
        "quality": "standard",
        "remixed_from_video_id": None,
        "seconds": "4",
        "progress": 100,
        "prompt": "a cat",
    }

    assert expected == replies.video(a_job(), DONE, DIALECTS["openai"], "retrieve", 4610.0)


@pytest.mark.parametrize(
    ("dialect", "state", "field", "expected"),
    [
        ("litellm", RUNNING, "status", "processing"),
        ("litellm", RUNNING, "progress", None),
        ("litellm", RUNNING, "usage", {"duration_seconds": 4.0}),
        ("sglang", RUNNING, "status", "queued"),
        ("sglang", RUNNING, "progress", 0),
        ("sglang", DONE, "progress", 100),
        ("trtllm", RUNNING, "status", "queued"),
        ("trtllm", DONE, "duration", 4.0),
        ("bifrost", RUNNING, "progress", 42.0),
        ("bifrost", RUNNING, "id", "video_1:openai"),
        ("vllm-omni", DONE, "media_type", "video/mp4"),
        ("fastvideo", RUNNING, "progress", 0),
    ],
)
def test_field_deviates_as_seen_when_dialect_is_another(
    dialect: str, state: State, field: str, expected: object
) -> None:
    """Each row tells its own story about the same job."""
    assert expected == shown(dialect, state)[field]


@pytest.mark.parametrize(
    ("dialect", "field"),
    [
        ("litellm", "prompt"),
        ("sglang", "prompt"),
        ("trtllm", "seconds"),
        ("trtllm", "progress"),
        ("bifrost", "progress"),
    ],
)
def test_field_is_absent_when_that_server_does_not_tell(dialect: str, field: str) -> None:
    """What a server never says is not there, rather than null."""
    assert field not in shown(dialect, QUEUED)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("openai", {"code": "oops", "message": "It broke."}),
        ("sglang", {"message": "It broke."}),
        ("trtllm", "It broke."),
        ("vllm-omni", {"code": 500, "message": "It broke."}),
    ],
)
def test_error_of_a_job_is_shaped_by_the_dialect(dialect: str, expected: object) -> None:
    """A failed job's error is an object, a text or a number, depending on whom one asks."""
    assert expected == shown(dialect, FAILED, Failure("oops", "It broke."))["error"]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "openai",
            {
                "error": {
                    "message": "Bad size.",
                    "type": "invalid_request_error",
                    "param": "size",
                    "code": "invalid_value",
                }
            },
        ),
        ("sglang", {"detail": "Bad size."}),
        (
            "bifrost",
            {
                "is_bifrost_error": False,
                "status_code": 400,
                "error": {
                    "type": "invalid_request_error",
                    "code": "invalid_value",
                    "message": "Bad size.",
                },
            },
        ),
        (
            "trtllm",
            {
                "object": "error",
                "message": "Bad size.",
                "type": "invalid_request_error",
                "param": "size",
                "code": 400,
            },
        ),
    ],
)
def test_http_error_is_wrapped_in_the_envelope_of_the_dialect(
    dialect: str, expected: dict[str, Any]
) -> None:
    """The same refusal looks different on each server."""
    assert expected == replies.error(invalid("size", "Bad size."), DIALECTS[dialect])


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("openai", {"id": "a", "object": "video.deleted", "deleted": True}),
        ("trtllm", {"deleted": True}),
        ("sglang", {"id": "a", "status": "deleted"}),
    ],
)
def test_delete_is_answered_in_the_way_of_the_dialect(
    dialect: str, expected: dict[str, Any]
) -> None:
    """A deletion is confirmed by an object, a flag or the job itself."""
    assert expected == replies.deleted({"id": "a", "status": "queued"}, DIALECTS[dialect])


def test_page_names_its_ends_when_the_list_is_paged() -> None:
    """A full page has all five members, an empty one nulls."""
    dialect = DIALECTS["openai"]

    page = replies.video_list([{"id": "a"}, {"id": "b"}], True, dialect)
    empty = replies.video_list([], False, dialect)

    assert (page["first_id"], page["last_id"], page["has_more"]) == ("a", "b", True)
    assert (empty["first_id"], empty["last_id"], empty["has_more"]) == (None, None, False)


@pytest.mark.parametrize("dialect", ["sglang", "trtllm"])
def test_page_is_bare_when_the_server_does_not_page(dialect: str) -> None:
    """Some lists are nothing but data."""
    assert replies.video_list([], False, DIALECTS[dialect]) == {"object": "list", "data": []}


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize("place", ["create", "retrieve", "list"])
def test_job_is_found_by_whatever_id_a_client_kept(dialect: str, place: Any) -> None:
    """Every public form leads back to the same job, and the plain one does, too."""
    style = DIALECTS[dialect].ids
    inner = new_id(style, 1_800_000_000.0)

    assert inner == inner_id(public_id(inner, style, place, "sora-2"), style)
    assert inner == inner_id(inner, style)


def test_litellm_ids_differ_when_the_calls_do() -> None:
    """LiteLLM stamps create, retrieve and list differently."""
    ids = {
        public_id("video_1", "litellm", place, "sora-2") for place in ("create", "retrieve", "list")
    }

    assert len(ids) == 3


@pytest.mark.parametrize("text", ["", "video_", "video_!!", "video_AAAA", "ü", "a:b:c"])
def test_strange_id_is_harmless_when_it_is_decoded(text: str) -> None:
    """Text that is no id becomes some text again, never an exception."""
    for dialect in DIALECTS.values():
        assert isinstance(inner_id(text, dialect.ids), str)


def test_ids_are_ordered_by_time_when_the_server_is_an_orchestrator() -> None:
    """The orchestrator's ids sort by their time of creation."""
    earlier, later = new_id("uuid7", 1_800_000_000.0), new_id("uuid7", 1_800_000_001.0)

    assert earlier < later
    assert later.removeprefix("video_")[12] == "7"
