"""Storing: completed means that the bytes lie here, checked; until then it is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from orchestrator import dispatch, endings
from orchestrator.errors import (
    Conflict,
    ContentInvalid,
    ContentNotReady,
    ProviderBusy,
    ProviderMissing,
    ProviderTransient,
    StorageError,
)
from orchestrator.records import Video
from orchestrator.steps import store
from orchestrator.storage import Staged
from tests.core import race
from tests.factories import MOVIE
from tests.rig import ANN, MakeRig, Rig, make_catalog
from tests.scripted_provider import CONTENTS

DAY = 86_400


class FullDisk:
    """A storage that keeps nothing: `fault` strikes when bytes are written, or when named."""

    def __init__(self, inner: Any, *, at: str):
        self._inner = inner
        self._at = at

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """A spool that breaks where it was told to."""
        if self._at == "stage":
            raise StorageError("The storage is full.")
        with self._inner.stage() as staged:
            setattr(staged, self._at, self._refuse)
            yield staged

    def _refuse(self, *_: object) -> None:
        raise StorageError("The storage is full.")


def stored_bytes(rig: Rig, key: str | None) -> bytes:
    """What lies under this key."""
    with rig.ctx.storage.open(key or "nothing") as content:
        return b"".join(content.chunks)


def files(rig: Rig, video: Video) -> list[str]:
    """The keys of everything that is kept of a video."""
    return [info.key for info in rig.ctx.storage.list(f"videos/{video.id}/", limit=10)]


def test_store_completes_when_bytes_lie_in_our_storage(rig: Rig) -> None:
    """Bytes, hash, size, type, paths, quota and events, all in one move."""
    video = rig.generated()

    rig.store(video)

    after = rig.video(video)
    digest = sha256(MOVIE).hexdigest()
    assert ("completed", None, 100) == (after.status, after.step, after.progress)
    assert (digest, len(MOVIE), "video/mp4") == (
        after.content_sha256,
        after.content_bytes,
        after.content_type,
    )
    assert f"videos/{video.id}/{digest}.mp4" == after.content_key
    assert MOVIE == stored_bytes(rig, after.content_key)
    assert f"/api/videos/{video.id}/download" == after.file_url
    assert after.completed_at is not None
    assert ("kept", 1, Decimal("0.4")) == (
        after.quota_state,
        rig.quota().videos_created,
        rig.quota().cost_used,
    )
    assert ["status_changed", "completed", "thumbnail_ready"] == rig.events(video)[-3:]


def test_store_keeps_pictures_when_provider_has_them(rig: Rig) -> None:
    """Thumbnail and spritesheet, each under its own hash."""
    video = rig.generated()

    rig.store(video)

    after = rig.video(video)
    assert CONTENTS["thumbnail"] == stored_bytes(rig, after.thumbnail_key)
    assert CONTENTS["spritesheet"] == stored_bytes(rig, after.spritesheet_key)
    assert f"/api/videos/{video.id}/thumbnail" == after.thumbnail_url


@pytest.mark.parametrize("answer", [ProviderTransient(), ContentNotReady(), lambda _: [b"<html>"]])
def test_missing_pictures_delay_nothing(rig: Rig, answer: Any) -> None:
    """Neither their absence nor rubbish in their place keeps a video from being completed."""
    video = rig.generated()
    rig.upstream.script("download thumbnail", answer)
    rig.upstream.script("download spritesheet", answer)

    rig.store(video)

    after = rig.video(video)
    assert ("completed", None, None, None) == (
        after.status,
        after.thumbnail_key,
        after.thumbnail_url,
        after.spritesheet_key,
    )


def test_missed_pictures_are_fetched_later(rig: Rig) -> None:
    """A fault in that moment costs a minute, not the thumbnail; what came is not fetched again."""
    video = rig.generated()
    rig.upstream.script("download thumbnail", ProviderTransient())
    rig.store(video)
    early = dispatch.sweep(rig.ctx).rung
    rig.pass_time(61)

    later = dispatch.sweep(rig.ctx).rung
    store.store(rig.ctx, video.id)

    after = rig.video(video)
    assert (0, 1, ("store", video.id)) == (early, later, rig.rings[-1])
    assert CONTENTS["thumbnail"] == stored_bytes(rig, after.thumbnail_key)
    assert (None, 1) == (after.pictures_due_at, rig.upstream.count("download spritesheet"))
    assert ["thumbnail_ready", "thumbnail_ready"] == rig.events(video)[-2:]


def test_pictures_are_fetched_later_when_the_worker_died(rig: Rig) -> None:
    """Completed, and gone before the first picture."""
    video = rig.generated()

    def dies(_: str) -> list[bytes]:
        raise PowerCut

    rig.upstream.script("download spritesheet", dies)
    with pytest.raises(PowerCut):
        rig.store(video)
    rig.pass_time(61)

    store.store(rig.ctx, video.id)

    after = rig.video(video)
    assert "completed" == after.status
    assert None not in {after.thumbnail_key, after.spritesheet_key}


def test_pictures_are_tried_four_times_at_most(rig: Rig) -> None:
    """Then the video stays without: nobody waits for them."""
    video = rig.generated()
    rig.upstream.script("download thumbnail", *[ProviderMissing()] * 9)
    rig.store(video)

    for _ in range(9):
        rig.pass_time(1300)
        store.store(rig.ctx, video.id)

    assert (4, 1) == (
        rig.upstream.count("download thumbnail"),
        rig.upstream.count("download spritesheet"),
    )
    assert rig.video(video).pictures_due_at is None


def test_pictures_are_not_asked_for_when_the_provider_has_let_go(make_rig: MakeRig) -> None:
    """After its retention there is nothing to fetch."""
    rig = make_rig(catalog=make_catalog(retention=timedelta(minutes=10)))
    video = rig.generated()
    rig.upstream.script("download thumbnail", ProviderTransient())
    rig.store(video)
    rig.pass_time(700)

    store.store(rig.ctx, video.id)

    assert 1 == rig.upstream.count("download thumbnail")
    assert rig.video(video).pictures_due_at is None


def test_pictures_of_a_deleted_video_are_not_asked_for(rig: Rig) -> None:
    """Nobody will see them."""
    video = rig.generated()
    rig.upstream.script("download thumbnail", ProviderTransient())
    rig.store(video)
    endings.delete(rig.ctx, ANN, video.id)
    rig.pass_time(61)

    swept = dispatch.sweep(rig.ctx)
    store.store(rig.ctx, video.id)

    assert (0, 1) == (swept.rung, rig.upstream.count("download thumbnail"))


def test_pictures_are_told_once_when_two_tries_meet(rig: Rig) -> None:
    """A slow copy ends after the next try: one of them writes."""
    video = rig.generated()

    def slow(_: str) -> list[bytes]:
        rig.pass_time(61)
        store.store(rig.ctx, video.id)
        return [CONTENTS["thumbnail"]]

    rig.upstream.script("download thumbnail", slow)

    rig.store(video)

    assert 1 == rig.events(video).count("thumbnail_ready")
    assert rig.video(video).thumbnail_key is not None


class PowerCut(BaseException):
    """The process is gone in the middle of a call."""


def test_video_is_completed_before_its_pictures_are_fetched(rig: Rig) -> None:
    """Nobody waits for a thumbnail."""
    video = rig.generated()
    seen: list[str] = []

    def picture(_: str) -> list[bytes]:
        seen.append(rig.video(video).status)
        return [CONTENTS["thumbnail"]]

    rig.upstream.script("download thumbnail", picture)

    rig.store(video)

    assert ["completed"] == seen


def broken_off(_: str) -> Iterator[bytes]:
    """A download that ends in the middle, as the client reports it."""
    yield MOVIE[:1000]
    raise ContentInvalid("The provider announced more bytes than it sent.")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(broken_off, id="truncated"),
        pytest.param(lambda _: [b'{"error": "not ready"}'], id="json"),
        pytest.param(lambda _: [b"<!doctype html><h1>502</h1>"], id="html"),
        pytest.param(lambda _: [], id="empty"),
        pytest.param(lambda _: [CONTENTS["thumbnail"]], id="picture"),
        pytest.param(lambda _: [b"RIFF\0\0\0\0AVI LIST" + bytes(100)], id="avi"),
        pytest.param(ProviderMissing(http_status=404), id="404"),
        pytest.param(ContentNotReady(), id="not ready"),
        pytest.param(ProviderTransient(http_status=500), id="500"),
        pytest.param(ProviderBusy(http_status=429), id="429"),
        pytest.param(StorageError("Full."), id="storage"),
    ],
)
def test_store_is_tried_again_when_bytes_do_not_come(rig: Rig, answer: Any) -> None:
    """Nothing is kept, nothing is charged again, and the video is made no second time."""
    video = rig.generated()
    rig.upstream.script("download video", answer)

    rig.store(video)

    first = rig.video(video)
    kept = files(rig, video)
    rig.store(video)
    assert ("in_progress", "store", 99, 1, None) == (
        first.status,
        first.step,
        first.progress,
        first.failures,
        first.lease_token,
    )
    assert [] == kept
    assert ("completed", Decimal("0.4")) == (rig.video(video).status, rig.video(video).cost_actual)
    assert 1 == rig.upstream.count("create")


def test_store_accepts_avi_where_the_profile_does(make_rig: MakeRig) -> None:
    """A server without an encoder sends AVI; its profile says so."""
    rig = make_rig(catalog=make_catalog(containers=frozenset({"mp4", "avi"}), variants=frozenset()))
    rig.upstream.contents["video"] = b"RIFF\0\0\0\0AVI LIST" + bytes(2000)
    video = rig.generated()

    rig.store(video)

    after = rig.video(video)
    assert ("completed", "video/x-msvideo") == (after.status, after.content_type)
    assert (after.content_key or "").endswith(".avi")


def test_retries_come_ever_more_rarely(rig: Rig) -> None:
    """2, 4, 8, ... seconds, at most a minute; Retry-After counts."""
    video = rig.generated()
    rig.upstream.script(
        "download video", *[ContentNotReady()] * 7, ProviderBusy(http_status=429, retry_after=200)
    )
    waits = []
    for _ in range(8):
        rig.store(video)
        due = rig.sql("select extract(epoch from due_at - now()) from videos")
        waits.append(round(float(due)))

    assert [2, 4, 8, 16, 32, 60, 60, 200] == waits


def test_content_is_lost_only_after_the_provider_let_it_expire(make_rig: MakeRig) -> None:
    """Failures before that mean nothing; the first one after it ends the video."""
    rig = make_rig()
    video = rig.generated()
    rig.upstream.script("download video", *[ProviderMissing(http_status=404)] * 3)
    rig.pass_time(DAY - 100)
    rig.store(video)
    before = rig.video(video)

    rig.pass_time(200)
    rig.store(video)

    after = rig.video(video)
    assert "in_progress" == before.status
    assert ("failed", "content_lost", "released") == (
        after.status,
        after.error_code,
        after.quota_state,
    )
    assert (Decimal("0.4"), Decimal("0.4"), 0) == (
        after.cost_actual,
        rig.quota().cost_used,
        rig.quota().videos_created,
    )


def test_content_is_still_fetched_after_its_time_if_it_is_there(rig: Rig) -> None:
    """The time is the provider's promise, not a reason to give up unasked."""
    video = rig.generated()
    rig.pass_time(2 * DAY)

    rig.store(video)

    assert "completed" == rig.video(video).status


@pytest.mark.parametrize("at", ["stage", "write", "commit"])
def test_full_disk_never_completes_and_never_loses(rig: Rig, at: str) -> None:
    """However long our disk is full, also beyond the provider's time: tried again."""
    video = rig.generated()
    rig.pass_time(2 * DAY)
    full = rig.with_storage(FullDisk(rig.ctx.storage, at=at))
    for _ in range(3):
        rig.due(video)
        store.store(full, video.id)
    during = rig.video(video)

    rig.store(video)

    assert ("in_progress", "store", None, 3) == (
        during.status,
        during.step,
        during.content_key,
        during.failures,
    )
    assert ("completed", 1) == (rig.video(video).status, len(_movies(rig, video)))


def test_cancel_while_storing_is_allowed_and_keeps_the_quota(rig: Rig) -> None:
    """The provider has finished it: the count is kept, the charge stands, no bytes are named."""
    video = rig.generated()

    def download(_: str) -> list[bytes]:
        endings.cancel(rig.ctx, ANN, video.id)
        return [MOVIE]

    rig.upstream.script("download video", download)

    rig.store(video)

    after = rig.video(video)
    assert ("cancelled", "kept", None) == (after.status, after.quota_state, after.content_key)
    assert (1, Decimal("0.4")) == (rig.quota().videos_created, rig.quota().cost_used)
    assert 0 == rig.upstream.count("download thumbnail")


def test_cancel_after_completion_is_refused(rig: Rig) -> None:
    """The completion was first."""
    video = rig.generated()
    rig.store(video)

    with pytest.raises(Conflict) as refused:
        endings.cancel(rig.ctx, ANN, video.id)

    assert "already_finished" == refused.value.code


def test_cancel_racing_the_store_leaves_one_winner(rig: Rig) -> None:
    """At the same moment: completed or cancelled, the quota kept once either way."""
    videos = [rig.generated(f"kite {n}") for n in range(6)]
    rig.due(*videos)

    calls: list[Callable[[], object]] = []
    for video in videos:
        calls.append(partial(store.store, rig.ctx, video.id))
        calls.append(partial(endings.cancel, rig.ctx, ANN, video.id))
    outcomes = race(*calls)

    ends = [rig.video(video) for video in videos]
    refused = sum(isinstance(outcome, Conflict) for outcome in outcomes)
    assert {"completed", "cancelled"} >= {video.status for video in ends}
    assert refused == sum(video.status == "completed" for video in ends)
    assert (["kept"] * 6, 6) == ([video.quota_state for video in ends], rig.quota().videos_created)


def test_store_happens_once_when_ten_messages_race(rig: Rig) -> None:
    """Ten deliveries of one message: one download."""
    video = rig.generated()
    rig.due(video)

    race(*[lambda: store.store(rig.ctx, video.id)] * 10)

    assert ("completed", 1) == (rig.video(video).status, rig.upstream.count("download video"))


def test_two_stores_of_one_video_leave_one_named_file(rig: Rig) -> None:
    """A first copy stalls past its lease, a second completes: the row names its bytes."""
    video = rig.generated()
    other = MOVIE + b"another rendering"

    def stalled(_: str) -> list[bytes]:
        rig.expire_leases()
        rig.upstream.contents["video"] = other
        rig.store(video)
        return [MOVIE]

    rig.upstream.script("download video", stalled)

    rig.store(video)

    after = rig.video(video)
    assert ("completed", sha256(other).hexdigest()) == (after.status, after.content_sha256)
    assert other == stored_bytes(rig, after.content_key)
    assert 2 == len(_movies(rig, video))
    assert 1 == rig.events(video).count("completed")


def test_completed_video_expires_when_retention_is_set(make_rig: MakeRig) -> None:
    """CONTENT_RETENTION_DAYS counts from completion."""
    rig = make_rig(content_retention_days=2)
    video = rig.generated()

    rig.store(video)

    after = rig.video(video)
    assert after.expires_at is not None
    assert 1.9 < (after.expires_at - after.updated_at).total_seconds() / DAY < 2.1


def test_completed_video_stays_when_no_retention_is_set(rig: Rig) -> None:
    """Our copy is kept for good."""
    video = rig.generated()

    rig.store(video)

    assert rig.video(video).expires_at is None


def test_store_waits_when_provider_is_configured_no_longer(rig: Rig) -> None:
    """Its configuration may come back before the content expires."""
    video = rig.generated()
    rig.sql("update videos set account = 'another'")

    rig.store(video)

    assert ("in_progress", 1) == (rig.video(video).status, rig.video(video).failures)


def test_store_does_nothing_when_there_is_nothing_to_store(rig: Rig) -> None:
    """Messages about other steps are harmless."""
    video = rig.submitted()

    rig.store(video)
    store.store(rig.ctx, "video_" + "0" * 32)

    assert 0 == rig.upstream.count("download video")


def _movies(rig: Rig, video: Video) -> list[str]:
    return [key for key in files(rig, video) if key.endswith(".mp4")]
