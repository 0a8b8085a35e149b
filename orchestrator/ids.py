"""Ids: time-ordered (UUID version 7), URL-safe, prefixed with what they name."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime

_LAST_MILLISECOND = 253_402_300_799_000
_VIDEO_ID = re.compile(r"video_[0-9a-f]{32}\Z")


def uuid7_hex() -> str:
    """32 hex digits of a version 7 UUID: 48 bits of Unix milliseconds, the rest random
    (RFC 9562). Unique, but no secret: who has seen many can tell the next ones.
    """
    # Seeded by the system in each process. To ask the system each time lets go of the interpreter,
    # and where threads are busy it takes a hundred times as long to get it back.
    value = random.getrandbits(80)
    high = (time.time_ns() // 1_000_000) << 16 | 0x7000 | value >> 68
    low = 0x8000_0000_0000_0000 | value & 0x3FFF_FFFF_FFFF_FFFF
    return f"{high & (1 << 64) - 1:016x}{low:016x}"


def new_video_id() -> str:
    """A fresh `video_<uuidv7 hex>`."""
    return f"video_{uuid7_hex()}"


def time_of(video_id: str) -> datetime:
    """When an id of ours was made, to the millisecond; the farthest time there is for one that
    somebody has made up.
    """
    milliseconds = int(video_id.removeprefix("video_")[:12], 16)
    return datetime.fromtimestamp(min(milliseconds, _LAST_MILLISECOND) / 1000, UTC)


def first_id_of(moment: datetime) -> str:
    """What sorts before every id made then or later, and behind every earlier one."""
    return f"video_{max(0, round(moment.timestamp() * 1000)):012x}"


def is_video_id(text: str) -> bool:
    """Whether this could be an id of ours; spares the database what cannot."""
    return _VIDEO_ID.match(text) is not None
