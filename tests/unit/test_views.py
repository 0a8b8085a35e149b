"""What the outside sees of a row, and what it never sees."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pydantic_core import to_json

from orchestrator import views
from orchestrator.records import Event, Quota, Video
from tests.core import NOON, make_video

SECRET = {
    "account",
    "admitted_at",
    "api_key_id",
    "candidates",
    "content_key",
    "due_at",
    "extension_seconds",
    "failures",
    "fingerprint",
    "first_fetched_at",
    "input_bytes",
    "input_key",
    "input_sha256",
    "input_type",
    "last_polled_at",
    "lease_token",
    "lease_until",
    "missing_since",
    "pictures_due_at",
    "pictures_tries",
    "provider",
    "purged_at",
    "quota_period",
    "rank_at",
    "rung_at",
    "sdk_tries",
    "snoozed",
    "spritesheet_key",
    "step",
    "thumbnail_key",
    "waits_lane",
}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (None, None),
        (datetime(2026, 11, 22, 10, 0, tzinfo=UTC), "2026-11-22T10:00:00.000Z"),
        (datetime(2026, 11, 22, 10, 0, 0, 123_987, UTC), "2026-11-22T10:00:00.123Z"),
        (
            datetime(2026, 11, 22, 1, 30, tzinfo=timezone(timedelta(hours=2))),
            "2026-11-21T23:30:00.000Z",
        ),
    ],
)
def test_times_are_utc_with_milliseconds(moment, expected):
    """RFC 3339 with Z, whatever zone the value came in."""
    assert expected == views.rfc3339(moment)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(None, None), (Decimal("0.4000"), 0.4), (Decimal("1.23456"), 1.2346), (Decimal(0), 0.0)],
)
def test_money_is_a_number_of_four_places(amount, expected):
    """Dollars are JSON numbers, rounded to what the database keeps."""
    assert expected == views.money(amount)


def test_video_shows_every_column_that_is_not_internal():
    """A new column is either shown or named here as one that is nobody's business."""
    shown = views.video(make_video())

    assert set(Video._fields) - SECRET == shown.keys() - {"object", "error"}


def test_video_shows_nothing_of_workers_or_providers():
    """No value of an internal column gets out under another name."""
    marked = make_video(
        **{
            name: f"internal-{name}"
            for name in ("lease_token", "provider", "account", "content_key", "api_key_id")
        },
        step="internal-step",
    )

    assert "internal-" not in json.dumps(views.video(marked))


def test_video_is_json_ready():
    """Times, money and metadata need no special encoder."""
    shown = views.video(make_video(metadata={"a": [1, None]}, completed_at=NOON))

    assert shown == json.loads(json.dumps(shown))
    assert {"a": [1, None]} == shown["metadata"]
    assert "2026-11-22T12:00:00.000Z" == shown["completed_at"]
    assert 0.4 == shown["cost_estimated"]


def test_texts_are_those_of_each_alone():
    """Alike ones beside others: those with an end, of other users, and with documents that only
    Python takes for equal.
    """
    videos = [
        *(make_video(prompt=f'kite "{n}" \u00e9\n') for n in range(3)),
        make_video(status="failed", error_code="lost"),
        *(make_video(user_id="bob", seq=2) for _ in range(2)),
        *(make_video(metadata={"n": n}) for n in (1, True, 1.0)),
        make_video(metadata={"b": 1, "a": 2}),
        make_video(metadata={"a": 2, "b": 1}),
        make_video(),
    ]

    assert [to_json(views.video(video)) for video in videos] == views.texts(videos)


def test_video_has_an_error_when_it_failed():
    """Clients of the origin look into `error`."""
    failed = make_video(status="failed", error_code="lost", error_message="It is gone.")

    assert {"code": "lost", "message": "It is gone."} == views.video(failed)["error"]


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "cancelled", "deleted"])
def test_video_has_no_error_when_it_did_not_fail(status):
    """`error` is there and null, so that clients may test it."""
    assert views.video(make_video(status=status))["error"] is None


def test_event_shows_its_columns():
    """An event is shown whole, and names its kind of object."""
    event = Event(7, "video_1", "failed", {"code": "lost"}, NOON, 3, "ann")

    assert {
        "id": 7,
        "object": "event",
        "video_id": "video_1",
        "event_type": "failed",
        "event_data": {"code": "lost"},
        "created_at": "2026-11-22T12:00:00.000Z",
        "seq": 3,
        "user_id": "ann",
    } == views.event(event)


def test_quota_shows_use_limit_and_remainder():
    """The names of the columns and those of the 429 answer say the same."""
    quota = Quota("ann", 7, 100, NOON, NOON, NOON, NOON, 1.0, None, Decimal("1.5"), None)

    shown = views.quota(quota)

    assert (7, 100) == (shown["videos_created"], shown["videos_limit"])
    assert (7, 100, 93) == (shown["used"], shown["limit"], shown["remaining"])
    assert (1.5, None) == (shown["cost_used"], shown["cost_limit"])
    assert "period_started_at" not in shown


def test_quota_remains_at_zero_when_the_limit_was_lowered_below_the_use():
    """Nobody has fewer than no videos left."""
    quota = Quota("ann", 7, 5, NOON, NOON, NOON, NOON, 1.0, None, Decimal(0), None)

    assert 0 == views.quota(quota)["remaining"]
