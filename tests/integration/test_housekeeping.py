"""Housekeeping: what nobody is owed goes, in bounded rounds; everything else stays."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from orchestrator import endings, housekeeping, invariants, streams, submissions, views
from orchestrator.db import audit
from orchestrator.errors import Gone, StorageError
from orchestrator.ids import first_id_of
from orchestrator.wishes import IdempotencyKey, InputFile
from tests.core import caller, make_request, opened, race, row, sql, submit
from tests.factories import complete, fail, make_image


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context that keeps deleted bytes for 7 days."""
    with opened(database_url, tmp_path, deleted_retention_days=7) as ctx:
        yield ctx


@pytest.fixture
def age(tmp_path):
    """Lets a stored file be two days old."""

    def change(key):
        then = (datetime.now(UTC) - timedelta(days=2)).timestamp()
        os.utime(tmp_path / "storage" / key, (then, then))

    return change


def deleted(ctx, days):
    """A completed video that was deleted so many days ago."""
    video = complete(ctx, submit(ctx).id)
    endings.delete(ctx, caller(), video.id)
    sql(
        ctx,
        "update videos set deleted_at = now() - make_interval(days => :days) where id = :id",
        days=days,
        id=video.id,
    )
    return row(ctx, video.id)


def keep(ctx, key):
    """A file under this key that no row names."""
    ctx.storage.put(key, [b"bytes"], content_type="video/mp4")
    return key


def lies_there(ctx, key):
    """Whether there is something under this key."""
    return ctx.storage.stat(key) is not None


def test_bytes_of_deleted_videos_go_after_their_retention(ctx):
    """Film and thumbnail; the row stays and says when."""
    old = deleted(ctx, days=8)

    gone = housekeeping.tidy(ctx)

    after = row(ctx, old.id)
    assert 1 == gone["contents"]
    assert [False, False] == [lies_there(ctx, k) for k in (old.content_key, old.thumbnail_key)]
    assert after.purged_at is not None
    assert (None, None) == (after.file_url, after.thumbnail_url)
    assert [("purged",)] == sql(
        ctx,
        "select event_type from video_events where video_id = :id and seq = :seq",
        id=old.id,
        seq=after.seq,
    )


def test_bytes_of_deleted_videos_stay_during_their_retention(ctx):
    """A deletion can be regretted for a week."""
    young = deleted(ctx, days=6)

    assert 0 == housekeeping.tidy(ctx)["contents"]
    assert lies_there(ctx, young.content_key)


def test_bytes_of_expired_videos_go(ctx):
    """The video stays completed; it is told as purged."""
    over, valid = complete(ctx, submit(ctx).id), complete(ctx, submit(ctx).id)
    sql(ctx, "update videos set expires_at = now() - interval '1 s' where id = :id", id=over.id)
    sql(ctx, "update videos set expires_at = now() + interval '1 h' where id = :id", id=valid.id)

    assert 1 == housekeeping.tidy(ctx)["contents"]

    assert ("completed", True) == (
        row(ctx, over.id).status,
        row(ctx, over.id).purged_at is not None,
    )
    assert [False, True] == [lies_there(ctx, v.content_key) for v in (over, valid)]
    assert (row(ctx, over.id).seq, None) == (
        (ctx.cache.get_video(over.id) or {})["seq"],
        (ctx.cache.get_video(over.id) or {})["file_url"],
    )


def test_second_round_finds_nothing(ctx):
    """Repeating it is harmless."""
    old = deleted(ctx, days=8)
    housekeeping.tidy(ctx)
    before = row(ctx, old.id)

    assert {0} == set(housekeeping.tidy(ctx).values())
    assert before == row(ctx, old.id)


def test_rounds_at_once_purge_once(ctx):
    """Several schedulers may run: one event per video."""
    old = deleted(ctx, days=8)

    race(*[lambda: housekeeping.tidy(ctx) for _ in range(4)])

    assert [(1,)] == sql(ctx, "select count(*) from video_events where event_type = 'purged'")
    assert row(ctx, old.id).purged_at is not None


def test_one_file_that_cannot_be_removed_keeps_no_other(ctx):
    """The rest of the round goes on, and the row does not claim that the bytes are gone."""
    stuck, other = deleted(ctx, days=9), deleted(ctx, days=8)
    storage = ctx.storage

    class Stuck:
        def delete(self, key):
            if key == stuck.content_key:
                raise StorageError("Not permitted.")
            storage.delete(key)

        def list(self, *arguments, **options):
            return storage.list(*arguments, **options)

    gone = housekeeping.tidy(replace(ctx, storage=Stuck()))

    assert 1 == gone["contents"]
    assert row(ctx, stuck.id).purged_at is None
    assert row(ctx, other.id).purged_at is not None
    assert 1 == housekeeping.tidy(ctx)["contents"]


def test_files_that_no_row_names_go_after_a_day(ctx, age):
    """Copies that lost a race; a young one may be about to be recorded."""
    video = complete(ctx, submit(ctx).id)
    lost = keep(ctx, f"videos/{video.id}/{'ee' * 32}.mp4")
    strange = keep(ctx, f"videos/video_{'0' * 32}/{'ee' * 32}.mp4")
    young = keep(ctx, f"videos/{video.id}/{'ff' * 32}.mp4")
    for key in (lost, strange, video.content_key, video.thumbnail_key):
        age(key)

    gone = housekeeping.tidy(ctx)

    assert 2 == gone["orphans"]
    assert [False, False] == [lies_there(ctx, key) for key in (lost, strange)]
    assert [True] * 3 == [
        lies_there(ctx, key) for key in (young, video.content_key, video.thumbnail_key)
    ]


def test_images_go_when_no_video_remembers_them(ctx, age):
    """An image that two videos share stays until both rows are gone."""
    picture = make_image("PNG")
    one = submit(ctx, input_reference=InputFile(picture))
    two = submit(ctx, input_reference=InputFile(picture))
    lost = keep(ctx, f"inputs/{'ee' * 32}.png")
    age(lost)
    age(one.input_key)

    assert 1 == housekeeping.tidy(ctx)["inputs"]
    sql(ctx, "delete from videos where id = :id", id=one.id)
    assert 0 == housekeeping.tidy(ctx)["inputs"]
    sql(ctx, "delete from videos where id = :id", id=two.id)
    assert 1 == housekeeping.tidy(ctx)["inputs"]

    assert not lies_there(ctx, one.input_key)


def test_sweep_comes_to_the_last_file_in_several_rounds(ctx, age, monkeypatch):
    """Files in use at the front do not hide the lost ones behind them."""
    monkeypatch.setattr(housekeeping, "LISTED", 2)
    used = complete(ctx, submit(ctx).id)
    lost = keep(ctx, f"videos/{used.id}/{'ff' * 32}.mp4")
    for key in (used.content_key, used.thumbnail_key, lost):
        age(key)
    places: dict[str, str] = {}

    swept = [housekeeping.tidy(ctx, places)["orphans"] for _ in range(2)]

    assert [0, 1] == swept
    assert "" == places["videos/"]


def test_round_looks_at_few_files_when_all_are_young(ctx, age, monkeypatch):
    """A day's videos are not walked through again and again in search of an old one."""
    monkeypatch.setattr(housekeeping, "LISTED", 2)
    young = [keep(ctx, f"videos/video_{n:032x}/{'ee' * 32}.mp4") for n in range(3)]
    lost = keep(ctx, f"videos/video_{'f' * 32}/{'ee' * 32}.mp4")
    age(lost)
    places: dict[str, str] = {}

    first = housekeeping.tidy(ctx, places)["orphans"]
    place = places["videos/"]
    second = housekeeping.tidy(ctx, places)["orphans"]

    assert (0, young[1], 1) == (first, place, second)


def test_old_idempotency_keys_go(ctx):
    """After a week nobody repeats a request."""
    for name in ("old", "young"):
        key = IdempotencyKey(name, "POST /api/videos")
        submissions.create(ctx, caller(), make_request(), key=key)
    sql(ctx, "update idempotency_keys set created_at = now() - interval '8 days' where key = 'old'")

    assert 1 == housekeeping.tidy(ctx)["keys"]
    assert [("young",)] == sql(ctx, "select key from idempotency_keys")


@pytest.mark.parametrize(("days", "gone", "left"), [(None, 0, 5), (30.0, 4, 1)])
def test_old_events_go_when_a_retention_is_set(ctx, days, gone, left):
    """Only those of videos that are over; without a setting they are kept for ever."""
    complete(ctx, submit(ctx).id)
    submit(ctx)
    sql(ctx, "update video_events set created_at = now() - interval '31 days'")
    kept = replace(ctx, settings=replace(ctx.settings, event_retention_days=days))

    assert gone == housekeeping.tidy(kept)["events"]
    assert [(left,)] == sql(ctx, "select count(*) from video_events")


def test_old_events_go_when_those_before_them_stay(ctx, monkeypatch):
    """Three videos have waited for longer than events are kept: a round goes on behind theirs."""
    monkeypatch.setattr(housekeeping, "ROWS", 2)
    waiting = [submit(ctx).id for _ in range(3)]
    ended = complete(ctx, submit(ctx).id).id
    sql(
        ctx,
        "update video_events set created_at = now() - interval '40 days' "
        "+ case when video_id = any(:waiting) then id else id + 1000 end * interval '1 second'",
        waiting=waiting,
    )
    kept = replace(ctx, settings=replace(ctx.settings, event_retention_days=30))
    places: dict[str, str] = {}

    rounds = [housekeeping.tidy(kept, places)["events"] for _ in range(4)]

    assert [0, 1, 2, 1] == rounds
    assert [] == sql(ctx, "select 1 from video_events where video_id = :id", id=ended)


YEAR = 365


@pytest.fixture
def keeping(ctx):
    """The same context, in which finished videos stay for 40 days."""
    return replace(ctx, settings=replace(ctx.settings, video_retention_days=40))


def aged(ctx, video, days=YEAR):
    """The same video, all of whose life was so many days earlier; also its id tells that age."""
    old = first_id_of(datetime.now(UTC) - timedelta(days=days)) + video.id[-20:]
    with ctx.database.transaction() as connection:
        # As a replica, the keys between the tables may be broken for a moment.
        connection.exec_driver_sql("set local session_replication_role = replica")
        for table in ("attempts", "video_events", "deliveries"):
            connection.execute(
                text(f"update {table} set video_id = :old where video_id = :id"),  # noqa: S608
                {"old": old, "id": video.id},
            )
        connection.execute(text(_AGE), {"old": old, "id": video.id, "days": days})
    return row(ctx, old)


_AGE = """
update videos set id = :old, created_at = created_at - make_interval(days => :days),
  updated_at = updated_at - make_interval(days => :days),
  quota_period = quota_period - make_interval(days => :days),
  finished_at = finished_at - make_interval(days => :days)
where id = :id
"""


def quiet(ctx, video):
    """Nothing has happened to this video for a while."""
    sql(
        ctx,
        "update videos set updated_at = now() - interval '8 days' where id = :id",
        id=video.id,
    )


def left(ctx):
    """The ids of all videos."""
    return {found[0] for found in sql(ctx, "select id from videos")}


def test_finished_videos_go_with_all_that_belongs_to_them(keeping):
    """The bytes first, and somebody may hear of that for a week; then the rest."""
    old = aged(keeping, complete(keeping, submit(keeping).id))
    sql(keeping, "update user_quotas set videos_created = 0 where user_id = 'ann'")
    young = complete(keeping, submit(keeping).id)
    before = sql(keeping, "select videos_created, cost_used from user_quotas where user_id = 'ann'")

    first = housekeeping.tidy(keeping)
    told = row(keeping, old.id)
    quiet(keeping, old)
    second = housekeeping.tidy(keeping)

    assert [(0, 1), (1, 0)] == [(found["videos"], found["contents"]) for found in (first, second)]
    assert told.purged_at is not None
    assert not lies_there(keeping, old.content_key)
    assert {young.id} == left(keeping)
    assert [] == sql(keeping, "select 1 from video_events where video_id = :id", id=old.id)
    assert before == sql(
        keeping, "select videos_created, cost_used from user_quotas where user_id = 'ann'"
    )
    assert lies_there(keeping, young.content_key)
    assert [] == invariants.check(keeping)


def test_finished_videos_stay_when_no_retention_is_set(ctx):
    """Nothing goes for good that nobody has asked to go."""
    old = aged(ctx, fail(ctx, submit(ctx).id))

    assert 0 == housekeeping.tidy(ctx)["videos"]
    assert {old.id} == left(ctx)


STAYS = {
    "young": "update videos set finished_at = now() - interval '39 days' where id = :id",
    "touched": "update videos set updated_at = now() - interval '6 days' where id = :id",
    "live": "update videos set status = 'queued', step = 'submit', finished_at = null, "
    "hold_reason = 'operator' where id = :id",
    "unsettled": "update videos set quota_state = 'reserved' where id = :id",
    "with an open attempt": "insert into attempts (video_id, n, provider, account, state, "
    "canonical_id, detached) values (:id, 7, 'p', 'a', 'accepted', 'x', true)",
    "with an attempt that may turn up": "insert into attempts (video_id, n, provider, account, "
    "state, ended_at, due_at) values (:id, 7, 'p', 'a', 'abandoned', now(), now())",
    "with a webhook to send": "insert into deliveries (message_id, url, target, user_id, "
    "video_id, type, data) values ('m', 'http://127.0.0.1:1/', 't', 'ann', :id, 'failed', '{}')",
    "with a remix under way": "update videos set remixed_from_video_id = :id where step = 'submit'",
}


@pytest.mark.parametrize("why", STAYS)
def test_finished_video_stays_when_something_needs_it(keeping, why):
    """Nothing that is owed, unsettled or under way loses its row."""
    old = aged(keeping, fail(keeping, submit(keeping).id))
    submit(keeping)
    sql(keeping, STAYS[why], id=old.id)

    assert 0 == housekeeping.tidy(keeping)["videos"]
    assert old.id in left(keeping)


def test_finished_videos_go_when_those_before_them_stay(keeping, monkeypatch):
    """Three old ones wait for an operator: a round goes on behind them."""
    monkeypatch.setattr(housekeeping, "VIDEOS", 2)
    for days in range(3):
        aged(keeping, submit(keeping), days=YEAR + days)
    aged(keeping, fail(keeping, submit(keeping).id), days=YEAR - 1)
    places: dict[str, str] = {}

    rounds = []
    for _ in range(3):
        gone = housekeeping.tidy(keeping, places)
        rounds.append((gone["videos"], housekeeping.behind(gone, places)))

    assert [(0, True), (1, True), (0, False)] == rounds
    assert 3 == len(left(keeping))


def test_key_of_a_pruned_video_makes_no_second_one(keeping):
    """The key outlives the row: whoever repeats the request is told that it is gone."""
    key = IdempotencyKey("k", "POST /api/videos")
    made = submissions.create(keeping, caller(), make_request(), key=key).video
    old = aged(keeping, fail(keeping, made.id))
    sql(keeping, "update idempotency_keys set video_ids = array[:id]", id=old.id)

    assert 1 == housekeeping.tidy(keeping)["videos"]

    with pytest.raises(Gone):
        submissions.create(keeping, caller(), make_request(), key=key)
    assert set() == left(keeping)


def test_reader_of_events_is_told_when_videos_may_have_been_pruned(keeping):
    """Who was away for less than a week has missed nothing; before that, perhaps everything."""
    now = int(datetime.now(UTC).timestamp())
    ages = {days: streams.UserPlace("ann", 1, 0, now - days * 86_400).cursor for days in (6, 8)}

    missed = {days: streams.enter_user(keeping, "ann", c).missed for days, c in ages.items()}

    assert {6: False, 8: True} == missed


def test_pruned_video_is_forgotten_by_the_cache(keeping):
    """Nobody reads for an hour what is no longer there."""
    old = aged(keeping, fail(keeping, submit(keeping).id))
    keeping.cache.put_video(views.video(old))

    housekeeping.tidy(keeping)

    assert keeping.cache.get_video(old.id) is None


@pytest.mark.parametrize(("days", "gone"), [(None, 0), (90, 2)])
def test_old_acts_go_when_a_retention_is_set(ctx, days, gone):
    """The trail of what admins do is kept for good unless somebody decides otherwise."""
    with ctx.database.transaction() as connection:
        for subject in "abc":
            audit.write(connection, None, audit.Action.CACHE_CLEARED, subject)
    sql(
        ctx,
        "update audit_log set created_at = now() - interval '91 days' where subject in ('a', 'b')",
    )
    kept = replace(ctx, settings=replace(ctx.settings, audit_retention_days=days))

    assert gone == housekeeping.tidy(kept)["acts"]
    assert 3 - gone == sql(ctx, "select count(*) from audit_log")[0][0]


@pytest.mark.parametrize(
    ("gone", "places", "expected"),
    [
        ({"keys": 3, "contents": 2}, {"videos/": "a"}, False),
        ({"keys": housekeeping.ROWS}, {}, True),
        ({"contents": housekeeping.BATCH}, {}, True),
        ({}, {"events": "2026-01-01"}, True),
    ],
)
def test_round_is_behind_when_it_took_all_that_it_may(gone, places, expected):
    """Then the scheduler does not wait a minute for the next."""
    assert expected is housekeeping.behind(gone, places)


def test_rounds_are_bounded(ctx, monkeypatch):
    """A mountain is removed a batch at a time."""
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    monkeypatch.setattr(housekeeping, "ROWS", 2)
    for _ in range(3):
        deleted(ctx, days=8)
    sql(
        ctx,
        "insert into idempotency_keys select 'ann', 'r', n, 'f', 202, '{}', "
        "now() - interval '8 days' from generate_series(1, 3) n",
    )

    rounds = [housekeeping.tidy(ctx) for _ in range(3)]

    assert [2, 1, 0] == [found["contents"] for found in rounds]
    assert [2, 1, 0] == [found["keys"] for found in rounds]
