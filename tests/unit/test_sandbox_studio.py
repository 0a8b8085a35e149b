"""The studio renders in the background, and its shelf forgets what can be made anew."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.sandbox.job import Job
from orchestrator.sandbox.render import stamped_id
from orchestrator.sandbox.scene import look_of
from orchestrator.sandbox.shelf import FolderShelf, MemoryShelf, Shelf
from orchestrator.sandbox.studio import Studio

PATIENCE_SECONDS = 30

Outcomes = queue.Queue[tuple[str, str | None]]


def a_job(job_id: str, size: tuple[int, int] = (32, 32)) -> Job:
    return Job(
        id=job_id,
        kind="create",
        prompt=job_id,
        model="sora-2",
        seconds=1,
        size="32x32",
        quality="standard",
        look=look_of(job_id, "", size, 1),
        created_at=0.0,
        ready_at=1.0,
    )


@contextmanager
def a_studio(
    shelf: Shelf, unwanted: frozenset[str] = frozenset()
) -> Iterator[tuple[Studio, Outcomes]]:
    outcomes: Outcomes = queue.Queue()
    studio = Studio(
        shelf,
        container="mp4",
        instant=False,
        wanted=lambda job_id: job_id not in unwanted,
        done=lambda job_id, error: outcomes.put((job_id, error)),
    )
    try:
        yield studio, outcomes
    finally:
        studio.close()


def test_next_video_is_made_when_one_cannot_be() -> None:
    """An odd width is nothing that H.264 can hold; the next job does not suffer."""
    with a_studio(MemoryShelf()) as (studio, outcomes):
        studio.submit(a_job("video_odd", (33, 32)))
        studio.submit(a_job("video_even"))

        failed, made = (outcomes.get(timeout=PATIENCE_SECONDS) for _ in range(2))

    assert failed[0] == "video_odd"
    assert failed[1] is not None
    assert made == ("video_even", None)


def test_unwanted_video_is_passed_over() -> None:
    """What was deleted while it waited is not rendered."""
    shelf, deleted = MemoryShelf(), a_job("video_1")
    with a_studio(shelf, unwanted=frozenset({"video_1"})) as (studio, outcomes):
        studio.submit(deleted)
        studio.submit(a_job("video_2"))

        assert outcomes.get(timeout=PATIENCE_SECONDS) == ("video_2", None)

    assert shelf.get(f"{deleted.look.digest}.mp4") is None


def test_content_is_made_again_when_the_shelf_has_lost_it() -> None:
    """The shelf is a convenience, not a memory."""
    with a_studio(MemoryShelf(room=1)) as (studio, _):
        first, _ = studio.content(a_job("video_1"), "video")
        studio.content(a_job("video_2"), "video")

        again, mime = studio.content(a_job("video_1"), "video")

    assert (again, mime) == (first, "video/mp4")
    assert stamped_id(again) == "video_1"


def test_oldest_file_makes_room_when_memory_is_full() -> None:
    """Use keeps a file; disuse does not."""
    shelf = MemoryShelf(room=20)
    shelf.put("a", b"x" * 8)
    shelf.put("b", b"x" * 8)
    shelf.get("a")

    shelf.put("c", b"x" * 8)

    assert [shelf.get(name) is not None for name in "abc"] == [True, False, True]


def test_room_is_counted_rightly_when_a_file_is_replaced() -> None:
    """The same name twice takes its room once."""
    shelf = MemoryShelf(room=20)

    for _ in range(5):
        shelf.put("a", b"x" * 8)
    shelf.put("b", b"x" * 8)

    assert shelf.get("a") is not None


def test_file_is_found_again_when_a_folder_keeps_it(tmp_path: Path) -> None:
    """A second shelf on the same folder has it; nothing partial lies about."""
    FolderShelf(tmp_path).put("a.mp4", b"bytes")

    shelf = FolderShelf(tmp_path)

    assert shelf.get("a.mp4") == b"bytes"
    assert shelf.get("b.mp4") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
