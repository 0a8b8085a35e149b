"""Ids: ours are told at a glance, and sort by their time."""

import time
from datetime import UTC, datetime
from uuid import UUID

import pytest

from orchestrator.ids import is_video_id, new_video_id, time_of, uuid7_hex


def test_uuid7_has_version_and_variant_of_the_rfc():
    """Other tools read our ids as UUIDs of version 7."""
    made = UUID(uuid7_hex())

    assert 7 == made.version
    assert "specified in RFC 4122" == made.variant


def test_uuid7_begins_with_the_milliseconds_of_now():
    """The first 48 bits are the time at which it was made."""
    before = time.time_ns() // 1_000_000
    made = int(uuid7_hex()[:12], 16)
    after = time.time_ns() // 1_000_000

    assert before <= made <= after


def test_uuid7_sorts_by_time_when_made_milliseconds_apart():
    """Later ids are greater as text, so lists need no other order."""
    made = []
    for _ in range(5):
        made.append(uuid7_hex())
        time.sleep(0.002)  # the clock itself is the subject

    assert sorted(made) == made


def test_uuid7_differs_when_made_in_one_millisecond():
    """Seventy-four random bits keep ids of one moment apart."""
    made = [uuid7_hex() for _ in range(2000)]

    assert len(made) == len(set(made))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("000000000000", "1970-01-01T00:00:00+00:00"),
        ("019a8b5c2e01", "2025-11-16T06:31:05.473000+00:00"),
        ("ffffffffffff", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_time_of_an_id_is_in_its_first_digits(digits, expected):
    """To the millisecond; one that somebody made up stays within what dates can say."""
    assert expected == time_of(f"video_{digits}{'0' * 20}").isoformat()


def test_time_of_a_new_id_is_now():
    """Whoever made it."""
    assert abs((time_of(new_video_id()) - datetime.now(UTC)).total_seconds()) < 5


def test_new_video_id_is_one():
    """What we make, we recognise."""
    assert is_video_id(new_video_id())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "video_",
        "0" * 32,
        "video_" + "0" * 31,
        "video_" + "0" * 33,
        "video_" + "0" * 32 + "\n",
        "video_" + "A" * 32,
        "video_" + "g" * 32,
        " video_" + "0" * 32,
        "video_" + "٣" * 32,
        "video_" + "0" * 31 + "\0",
        "'; drop table videos; --",
    ],
)
def test_is_video_id_says_no_when_text_only_resembles_one(text):
    """What cannot be one of ours never reaches the database."""
    assert not is_video_id(text)
