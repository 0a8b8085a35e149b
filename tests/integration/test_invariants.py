"""The check of everything that was promised: it finds what is broken by hand, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator import endings, invariants
from orchestrator.records import Caller, Video
from orchestrator.storage.contract import ObjectInfo
from tests.rig import Rig

OPEN = "nothing is left open"
BYTES = "completed videos have their bytes"


@dataclass(frozen=True)
class Scene:
    """A rig with a video in each state that has rules of its own."""

    rig: Rig
    completed: Video
    running: Video
    queued: Video
    cancelled: Video

    def rules(self, **options: bool) -> set[str]:
        """The rules that are broken now."""
        return {found.rule for found in invariants.check(self.rig.ctx, **options)}


@pytest.fixture
def scene(rig: Rig) -> Iterator[Scene]:
    """Nothing in it is broken; whatever a test does to it is gone before the rig looks."""
    completed = rig.generated("a finished kite", webhook_url="http://127.0.0.1:1/hook")
    rig.store(completed)
    cancelled = rig.want("an unwanted kite")
    endings.cancel(rig.ctx, Caller("ann"), cancelled.id)
    running, queued = rig.submitted("a kite in the making"), rig.want("a waiting kite")
    yield Scene(rig, rig.video(completed), running, queued, rig.video(cancelled))
    rig.sql("delete from videos")
    rig.sql("delete from user_quotas")


def test_work_in_progress_is_no_finding_unless_all_should_be_settled(scene: Scene) -> None:
    """An operator may look at any time; after a run of chaos nothing may be under way."""
    assert set() == scene.rules(read=True)
    found = [v for v in invariants.check(scene.rig.ctx, settled=True) if v.rule == OPEN]
    assert {"videos", "attempts", "deliveries"} == {violation.id for violation in found}


ENDS = "insert into video_events (video_id, event_type, user_id, seq) values "
LATE = "set lease_token = 'x', lease_until = now() - interval '2 hours'"
BREAKS = {
    "quota equals the rows": (
        "update user_quotas set videos_created = videos_created + 1",
        "update user_quotas set cost_used = cost_used - 0.1",
    ),
    "events are numbered without gaps": (
        "delete from video_events where video_id = :completed and seq = 2",
        "delete from video_events where video_id = :running and seq = 1",
        "delete from video_events where video_id = :queued",
        "update videos set seq = seq + 1 where id = :completed",
    ),
    "a video ends once": (
        "update video_events set event_type = 'failed' where event_type = 'completed'",
        ENDS + "(:cancelled, 'completed', 'ann', 99)",
        ENDS + "(:running, 'failed', 'ann', 99)",
    ),
    "an ended video is settled, or its attempt is watched": (
        "update videos set quota_state = 'reserved' where id = :completed",
    ),
    "a video is settled as it ended": (
        "update videos set quota_state = 'released' where id = :completed",
        "update videos set quota_state = 'kept' where id = :running",
    ),
    "completed videos are charged once": (
        "update videos set cost_actual = 2 * cost_actual where id = :completed",
    ),
    "content belongs to its video": (
        "update videos set content_key = replace(content_key, id, :running) where id = :completed",
        "update videos set content_sha256 = repeat('0', 64) where id = :completed",
    ),
    "an ended video has no attempt of its own": (
        "update attempts set ended_at = null where video_id = :completed",
    ),
    "a running video has the attempt that it runs by": (
        "update attempts set detached = true where video_id = :running",
    ),
    "what is live is due, asked about or held": (
        "update videos set due_at = null where id = :queued",
    ),
    "an attempt that is watched is due": (
        "update attempts set detached = true, due_at = null where video_id = :running",
    ),
    "no lease of a video outlives its holder": (f"update videos {LATE} where id = :queued",),
    "a leased step is due": (
        f"update videos {LATE}, due_at = now() + interval '1 min' where id = :running",
        f"update videos {LATE}, admitted_at = null where id = :queued",
        f"update videos {LATE}, due_at = null where id = :queued",
    ),
    "no lease of an attempt or a delivery outlives its holder": (
        f"update attempts {LATE} where video_id = :running",
        f"update deliveries {LATE}",
    ),
}


@pytest.mark.parametrize(
    ("rule", "statement"),
    [(rule, statement) for rule, statements in BREAKS.items() for statement in statements],
)
def test_rule_is_named_when_it_is_broken(scene: Scene, rule: str, statement: str) -> None:
    """Each rule finds what no transaction of ours would leave."""
    names = ("completed", "running", "queued", "cancelled")
    ids = {name: getattr(scene, name).id for name in names if f":{name}" in statement}

    scene.rig.sql(statement, **ids)

    assert rule in scene.rules()


@pytest.mark.parametrize("kind", ["videos", "attempts", "deliveries"])
def test_lease_is_named_when_nothing_should_be_open(scene: Scene, kind: str) -> None:
    """A lease counts even where it has not run out."""
    scene.rig.sql(f"update {kind} set lease_token = 'x', lease_until = now() + interval '1 min'")  # noqa: S608

    found = invariants.check(scene.rig.ctx, settled=True)

    assert "leases" in {violation.id for violation in found}


def test_bytes_are_missed_when_a_file_is_gone_or_short(scene: Scene) -> None:
    """The rows may be sound, the videos are not."""
    storage, key = scene.rig.ctx.storage, scene.completed.content_key or ""
    storage.put(key, [b"short"], content_type="video/mp4")
    short = scene.rules()
    storage.delete(key)

    assert {BYTES} == short
    assert {BYTES} == scene.rules()


def test_other_bytes_are_found_when_every_file_is_read(scene: Scene) -> None:
    """Of the right length they look right, until somebody reads them."""
    storage, key = scene.rig.ctx.storage, scene.completed.content_key or ""
    size = scene.completed.content_bytes or 0
    storage.put(key, [b"\0" * size], content_type="video/mp4")

    assert set() == scene.rules()
    assert {BYTES} == scene.rules(read=True)


def test_bytes_are_not_missed_when_they_are_being_purged(scene: Scene) -> None:
    """Files go first, then the row says so: in between nobody is owed them."""
    scene.rig.ctx.storage.delete(scene.completed.content_key or "")
    scene.rig.sql("update videos set expires_at = now() where id = :id", id=scene.completed.id)

    assert set() == scene.rules()


def test_bytes_are_not_missed_when_their_video_is_purged_meanwhile(scene: Scene) -> None:
    """The page of rows is older than the look at the files."""
    rig = scene.rig

    class Purging:
        def stat(self, key: str) -> ObjectInfo | None:
            rig.sql("update videos set purged_at = now() where content_key = :key", key=key)
            return None

    ctx: Any = rig.with_storage(Purging())

    assert [] == invariants.check(ctx)
