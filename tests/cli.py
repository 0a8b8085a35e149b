"""What tests of the command line share: a way to run it, and videos as a server tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.cli.client import Clock

VIDEO_ID = "video_0123456789abcdef0123456789abcdef"


class FakeTime:
    """A clock that sleeps at once and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        """The same, as the command line wants it; its dice always show the middle."""
        return Clock(sleep=self.slept.append, monotonic=lambda: sum(self.slept), dice=lambda: 0.5)


def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Result:
    """Run a command in this process, with no settings but `env`, without waiting anywhere."""
    blank: dict[str, str | None] = dict.fromkeys(
        ("ORCHESTRATOR_URL", "ORCHESTRATOR_API_KEY", "PORT", "ONCE", "DATABASE_URL")
    )
    return CliRunner().invoke(
        main, arguments, env=blank | dict(env or {}), input=stdin, obj=FakeTime().clock
    )


def make_video(**changes: Any) -> dict[str, Any]:
    """A queued video as `GET /api/videos/{id}` shows it."""
    return {
        "object": "video",
        "id": VIDEO_ID,
        "user_id": "alice",
        "model": "sora-2",
        "status": "queued",
        "progress": 0,
        "prompt": "A red kite",
        "size": "720x1280",
        "seconds": "4",
        "quality": None,
        "kind": "create",
        "remixed_from_video_id": None,
        "retry_of": None,
        "file_url": None,
        "thumbnail_url": None,
        "content_type": None,
        "content_bytes": None,
        "content_sha256": None,
        "error_code": None,
        "error_message": None,
        "hold_reason": None,
        "priority": 0,
        "quota_state": "reserved",
        "webhook_url": None,
        "seq": 1,
        "created_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:00:00.000Z",
        "completed_at": None,
        "finished_at": None,
        "expires_at": None,
        "deadline_at": None,
        "run_at": None,
        "archived_at": None,
        "deleted_at": None,
        "metadata": {},
        "cost_estimated": 0.4,
        "cost_actual": 0.0,
        "error": None,
        **changes,
    }
