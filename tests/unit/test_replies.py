"""Reading videos, pages and errors in every dialect that servers were seen to speak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog import PROFILES
from orchestrator.providers.protocol import ProviderVideo
from orchestrator.providers.replies import (
    read_failed_reply,
    read_id,
    read_page,
    read_problem,
    read_video,
)
from orchestrator.providers.reply import Reply

OPENAI = PROFILES["openai"]
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def video(**fields: Any) -> ProviderVideo:
    read = read_video({"id": "v1", "status": "in_progress", **fields}, OPENAI)
    assert read is not None
    return read


def test_a_complete_job_is_read_field_by_field() -> None:
    """The published shape arrives whole."""
    read = video(
        progress=42,
        model="sora-2",
        seconds="8",
        size="1280x720",
        prompt="a cat",
        created_at=1_758_941_485,
        expires_at=1_758_945_085,
    )

    expected = ProviderVideo(
        id="v1",
        canonical_id="v1",
        status="in_progress",
        raw_status="in_progress",
        progress=42,
        model="sora-2",
        seconds="8",
        size="1280x720",
        prompt="a cat",
        created_at=datetime.fromtimestamp(1_758_941_485, UTC),
        expires_at=datetime.fromtimestamp(1_758_945_085, UTC),
    )
    assert expected == read


@pytest.mark.parametrize(
    "body",
    [
        None,
        "done",
        [],
        {},
        {"id": "v1"},
        {"status": "queued"},
        {"id": "", "status": "queued"},
        {"id": None, "status": "queued"},
        {"id": True, "status": "queued"},
        {"id": {"x": 1}, "status": "queued"},
        {"id": "two words", "status": "queued"},
        {"id": "..", "status": "queued"},
        {"id": "a\0b", "status": "queued"},
        {"id": "x" * 501, "status": "queued"},
        {"id": "v1", "status": 200},
        {"id": "v1", "status": None},
        {"status": "failed", "message": "an error of the gateway"},
    ],
)
def test_what_is_no_video_is_none(body: Any) -> None:
    """Without a usable id and a status there is nothing to follow."""
    assert read_video(body, OPENAI) is None


@pytest.mark.parametrize("raw", ["a/b", "openai:x", "x" * 500, "ü", "17"])
def test_ids_are_opaque(raw: str) -> None:
    """Any visible text is an id, however long or strange."""
    assert raw == read_id(raw)


def test_numeric_ids_are_texts() -> None:
    """A server that counts is understood."""
    assert "17" == read_id(17)


def test_an_unknown_status_is_running_and_said_so() -> None:
    """A new word never ends a video."""
    read = video(status="warming_up")

    assert ("in_progress", "warming_up", False) == (read.status, read.raw_status, read.status_known)


@pytest.mark.parametrize(
    ("raw", "progress"),
    [
        (None, None),
        (0, 0),
        (45.7, 45),
        (0.45, 45),
        ("45%", 45),
        (130, 100),
        (-1, 0),
        ("much", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_progress_is_decoration(raw: Any, progress: int | None) -> None:
    """Whatever it is, it becomes a percentage or nothing."""
    assert progress == video(progress=raw).progress


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"seconds": "4"}, "4"),
        ({"seconds": 4}, "4"),
        ({"seconds": 4.0}, "4"),
        ({"seconds": "10"}, "10"),
        ({"seconds": 100}, "100"),
        ({"duration": 4.0}, "4"),
        ({"duration": 2.5}, "2.5"),
        ({"seconds": None, "duration": "8s"}, "8"),
        ({"seconds": "long"}, None),
        ({"seconds": -1}, None),
        ({"seconds": "1e400"}, None),
        ({"seconds": 10**400}, None),
        ({"seconds": True}, None),
        ({"seconds": [4]}, None),
        ({}, None),
    ],
)
def test_seconds_are_a_plain_number_as_text(fields: dict[str, Any], seconds: str | None) -> None:
    """TensorRT-LLM's `duration: 4.0` equals the "4" that was sent."""
    assert seconds == video(**fields).seconds


@pytest.mark.parametrize(
    "raw", [1_758_941_485, 1_758_941_485.0, "1758941485", 1_758_941_485_000, "2025-09-27T02:51:25Z"]
)
def test_times_are_read_in_every_unit(raw: Any) -> None:
    """Seconds, milliseconds and ISO dates are one moment."""
    assert datetime(2025, 9, 27, 2, 51, 25, tzinfo=UTC) == video(created_at=raw).created_at


@pytest.mark.parametrize("raw", [None, 0, -5, "soon", True, 10**30, 10**400, float("inf"), {}])
def test_times_that_are_none_stay_none(raw: Any) -> None:
    """A server without a clock does no harm."""
    assert video(created_at=raw).created_at is None


@pytest.mark.parametrize(
    ("status", "error", "code", "message"),
    [
        ("failed", {"code": "server_error", "message": "Boom."}, "server_error", "Boom."),
        ("failed", {"message": "Boom."}, "generation_failed", "Boom."),
        ("failed", "Boom.", "generation_failed", "Boom."),
        ("failed", {"code": 500, "message": "Boom."}, "generation_failed", "Boom."),
        ("failed", {"code": "moderation_blocked", "message": "No."}, "moderation_blocked", "No."),
        (
            "failed",
            {"code": "x", "message": "Your request was blocked by our moderation system."},
            "moderation_blocked",
            "Your request was blocked by our moderation system.",
        ),
        ("failed", {"code": "ResponsibleAIPolicyViolation"}, "moderation_blocked", None),
        ("failed", None, "generation_failed", "The provider reports this video as failed."),
        ("cancelled", None, "cancelled", "The provider reports this video as cancelled."),
        ("failed", [], "generation_failed", None),
        ("failed", 7, "generation_failed", "7"),
    ],
)
def test_a_failure_always_has_a_code_and_a_message(
    status: str, error: Any, code: str, message: str | None
) -> None:
    """Objects, texts, numbers, nothing: people read a sentence and programs a word."""
    read = video(status=status, error=error)

    assert ("failed", code) == (read.status, read.error_code)
    assert (message or "The provider reports this video as failed.") == read.error_message


def test_an_error_on_a_healthy_video_is_ignored() -> None:
    """Some servers always send an `error` object."""
    read = video(status="completed", error={"code": "", "message": ""})

    assert (None, None) == (read.error_code, read.error_message)


def test_texts_lose_what_postgresql_cannot_keep() -> None:
    """NUL and lone surrogates would turn a poll into a 500 of our own."""
    read = video(prompt="a\0b\ud800c", status="failed", error={"message": "x\0y\ud800"})

    assert "abc" == read.prompt
    assert "xy" == read.error_message


# ── jobs under an HTTP error


def reply(body: str, status: int = 500) -> Reply:
    return Reply(status, {}, body)


@pytest.mark.parametrize(
    "body",
    [
        '{"id": "v1", "status": "failed", "error": {"code": 400, "message": "x"}}',
        '{"id": "other", "object": "video", "status": "failed"}',
        '{"object": "video", "status": "failed"}',
        '{"detail": {"id": "v1", "status": "failed"}}',
    ],
)
def test_a_job_under_an_http_error_is_found(body: str) -> None:
    """It must call itself a video or carry the id that was asked for."""
    found = read_failed_reply(reply(body), PROFILES["vllm-omni"], asked_for="v1")

    assert found is not None
    assert "failed" == found.status


@pytest.mark.parametrize(
    "body",
    [
        '{"id": "err_9", "status": "failed"}',
        '{"error": {"id": "req_1", "status": "failed"}}',
        '{"detail": "not found"}',
        "[]",
        "<html>",
        "",
    ],
)
def test_an_error_envelope_is_no_job(body: str) -> None:
    """An envelope with an id and a status must not fail a running video."""
    assert read_failed_reply(reply(body), OPENAI, asked_for="v1") is None


# ── pages


def test_a_page_says_whether_more_follow() -> None:
    """True, false, or not a word about it."""
    job = {"id": "v1", "status": "queued"}
    told = [
        read_page(body, OPENAI)
        for body in ({"data": [job], "has_more": True}, {"data": [job]}, [job], {"data": None})
    ]

    assert [(1, True), (1, None), (1, None), (0, None)] == [
        (len(page.videos), page.has_more) for page in told if page is not None
    ]


@pytest.mark.parametrize("body", [None, "x", {}, {"data": "x"}, {"error": {"message": "no"}}, 3])
def test_what_is_no_page_is_none(body: Any) -> None:
    """An error must not look like an empty list."""
    assert read_page(body, OPENAI) is None


def test_an_unreadable_entry_makes_a_page_incomplete() -> None:
    """It may be the very video that is looked for."""
    page = read_page({"data": [{"id": "v1", "status": "queued"}, {"x": 1}]}, OPENAI)

    assert page is not None
    assert (1, False) == (len(page.videos), page.complete)


# ── errors


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "c1", "type": "t1", "message": "m"}}, "c1", "m"),
        ({"error": {"code": None, "type": "t1", "message": "m"}}, "t1", "m"),
        ({"error": {"code": "400", "type": "t1", "message": "m"}}, "t1", "m"),
        ({"error": "m"}, "", "m"),
        ({"error": "m", "code": "c1"}, "c1", "m"),
        ({"detail": "m"}, "", "m"),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, "", "m"),
        ({"object": "error", "message": "m", "type": "t1", "code": 400}, "t1", "m"),
        ({"is_bifrost_error": True, "error": {"message": "m"}}, "", "m"),
        ("m", "", "m"),
        (None, "", ""),
        ([], "", ""),
        ({}, "", ""),
    ],
)
def test_errors_are_read_in_every_envelope(body: Any, code: str, message: str) -> None:
    """OpenAI's, FastAPI's, vLLM's, Bifrost's, or a bare text."""
    problem = read_problem(body)

    assert (code, message) == (problem.code, problem.message)


# ── headers


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2500", 2.5), ("-1", None), ("soon", None), ("", None), ("1e12", 86_400.0)],
)
def test_the_poll_hint_is_seconds_within_a_day(header: str, seconds: float | None) -> None:
    """Nonsense is no hint."""
    assert seconds == Reply(200, {"openai-poll-after-ms": header}, "").poll_after


def test_the_servers_clock_is_read_from_its_date() -> None:
    """The offset is theirs minus ours; none where they do not say."""
    ahead = Reply(200, {"date": "Sun, 22 Nov 2026 12:01:00 GMT"}, "")

    assert timedelta(minutes=1) == ahead.server_offset(NOW)
    assert timedelta(0) == Reply(200, {"date": "noon"}, "").server_offset(NOW)


def test_the_detail_hides_our_key_but_no_placeholder() -> None:
    """ "none" as a key is part of many words; a real key is not."""
    real = Reply(401, {}, "bad key sk-12345678\0", secret="sk-12345678")
    placeholder = Reply(401, {}, "none of these", secret="none")

    assert "HTTP 401 bad key ***" == real.detail
    assert "HTTP 401 none of these" == placeholder.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["id", "status", "error", "progress", "seconds", "size", "created_at", "expires_at", "data"]
)


@given(st.dictionaries(fields, json_values) | json_values)
def test_no_reply_can_break_the_reader(body: Any) -> None:
    """Every JSON value is read as something or as nothing, never with an exception."""
    read_video(body, OPENAI)
    read_page(body, OPENAI)
    read_problem(body)
