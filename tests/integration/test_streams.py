"""Streams: what a reader is told, and that nothing is missed or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import psycopg2
import pytest

from orchestrator import accounts, endings, feeds, streams
from orchestrator.errors import DependencyDown, InvalidRequest, NotFound, RateLimited
from orchestrator.feeds import Feeds
from orchestrator.readers import Feed
from orchestrator.records import Caller
from orchestrator.streams import News, UserPlace, VideoPlace
from tests.core import caller, opened, sql, submit
from tests.factories import complete, fail, start


@pytest.fixture
def desk(ctx) -> Iterator[Feeds]:
    """Readers whose thread looks only when a test says so: nobody may start it."""
    found = Quiet(ctx)
    yield found
    found.close()


class Quiet(Feeds):
    """Readers that are looked for by hand."""

    def _start(self) -> None:
        """No thread."""


def progress(ctx, video_id: str, *values: int) -> None:
    """Let a running video be further than before."""
    for value in values:
        sql(
            ctx,
            "with v as (update videos set progress = :value, seq = seq + 1 where id = :id "
            "returning *) insert into video_events (video_id, event_type, event_data, seq, "
            "user_id) select id, 'progress', jsonb_build_object('progress', progress), seq, "
            "user_id from v",
            value=value,
            id=video_id,
        )


def news_at(ctx, place) -> News | None:
    """What is new at one place."""
    return streams.read(ctx, [place]).get(place)


def names(news: News | None) -> list[str]:
    """What kinds of messages there are."""
    return [] if news is None else [message.event for message in news.messages]


def follow(ctx, place, *, rounds: int = 20) -> list[streams.Message]:
    """All that a reader is told from here on, if it takes everything at once."""
    told: list[streams.Message] = []
    for _ in range(rounds):
        news = news_at(ctx, place)
        if news is None or news.over:
            return told + list(news.messages if news else ())
        told += news.messages
        place = news.place
    return told


def test_video_begins_with_a_snapshot_when_there_is_no_cursor(ctx):
    """As GET shows it; its cursor is the number of the last event."""
    video = submit(ctx)

    news = news_at(ctx, VideoPlace(video.id, None))

    assert ["snapshot"] == names(news)
    assert (video.id, "queued", "1") == (
        news.messages[0].data["id"],
        news.messages[0].data["status"],
        news.messages[0].cursor,
    )
    assert (VideoPlace(video.id, 1), False) == (news.place, news.over)


def test_video_tells_what_came_behind_a_cursor(ctx):
    """In order, each with its number, and the end is the end."""
    video = submit(ctx)
    complete(ctx, video.id)

    news = news_at(ctx, VideoPlace(video.id, 1))

    assert ["status_changed", "status_changed", "completed"] == names(news)
    assert ["2", "3", "4"] == [message.cursor for message in news.messages]
    assert news.over


def test_video_tells_nothing_when_nothing_is_new(ctx):
    """And that costs no row."""
    video = submit(ctx)

    assert {} == streams.read(ctx, [VideoPlace(video.id, 1)])


def test_video_says_reset_when_events_between_were_pruned(ctx):
    """Never a silent gap: then comes the present state."""
    video = submit(ctx)
    start(ctx, video.id)
    progress(ctx, video.id, 10, 20)
    sql(ctx, "delete from video_events where seq between 2 and 3")

    news = news_at(ctx, VideoPlace(video.id, 1))

    assert ["reset", "snapshot"] == names(news)
    assert VideoPlace(video.id, 4) == news.place


def test_video_says_reset_when_all_events_were_pruned(ctx):
    """Also when nothing is left to see the gap by."""
    video = submit(ctx)
    start(ctx, video.id)
    sql(ctx, "delete from video_events")

    assert ["reset", "snapshot"] == names(news_at(ctx, VideoPlace(video.id, 1)))


def test_video_says_reset_when_the_cursor_is_of_the_future(ctx):
    """A database that was set back has fewer events than its readers."""
    video = submit(ctx)

    assert ["reset", "snapshot"] == names(news_at(ctx, VideoPlace(video.id, 9)))


def test_video_is_over_after_its_snapshot_when_it_has_ended(ctx):
    """Nothing will follow."""
    video = submit(ctx)
    fail(ctx, video.id)

    news = news_at(ctx, VideoPlace(video.id, None))

    assert (["snapshot"], True) == (names(news), news.over)


def test_video_is_over_when_its_row_is_gone(ctx):
    """Its reader does not wait for ever."""
    news = news_at(ctx, VideoPlace("video_" + "0" * 32, 3))

    assert ([], True) == (names(news), news.over)


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "deleted"])
def test_video_cannot_be_entered_when_the_reader_knows_its_end(ctx, end):
    """A browser that connects again is told to stop."""
    video = submit(ctx)
    if end == "completed":
        seq = complete(ctx, video.id).seq
    elif end == "failed":
        seq = fail(ctx, video.id).seq
    else:
        seq = endings.cancel(ctx, caller(), video.id).seq

    if end == "deleted":
        endings.delete(ctx, caller(), video.id)
        with pytest.raises(NotFound):
            streams.enter_video(ctx, caller(), video.id, str(seq))
    else:
        assert streams.enter_video(ctx, caller(), video.id, str(seq)) is None
        assert streams.enter_video(ctx, caller(), video.id, "1") is not None


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "٣", "9" * 10])
def test_video_refuses_a_cursor_that_is_none(ctx, cursor):
    """It names the field and what it takes."""
    video = submit(ctx)

    with pytest.raises(InvalidRequest) as raised:
        streams.enter_video(ctx, caller(), video.id, cursor)

    assert "after" == raised.value.param


def test_video_of_another_user_cannot_be_entered(ctx):
    """As if it were not there."""
    video = submit(ctx)

    with pytest.raises(NotFound):
        streams.enter_video(ctx, caller("bob"), video.id, None)


def test_progress_is_drawn_together_when_much_has_gathered(ctx):
    """Of each video the last; what is in between stays."""
    video = submit(ctx)
    start(ctx, video.id)
    progress(ctx, video.id, 10, 20, 30)
    complete_after = news_at(ctx, VideoPlace(video.id, 2))

    assert (["progress"], 30, VideoPlace(video.id, 5)) == (
        names(complete_after),
        complete_after.messages[0].data["event_data"]["progress"],
        complete_after.place,
    )
    assert complete_after.only_progress


def test_long_history_comes_in_pieces(ctx, monkeypatch):
    """With none missing at the seams."""
    monkeypatch.setattr(streams, "AT_ONCE", 2)
    video = submit(ctx)
    complete(ctx, video.id)

    told = follow(ctx, VideoPlace(video.id, 0))

    assert ["1", "2", "3", "4"] == [message.cursor for message in told]


def test_user_begins_with_what_is_under_way(ctx):
    """Own videos only, newest first; finished ones are in the list of videos."""
    old, ended, new = submit(ctx), submit(ctx), submit(ctx)
    fail(ctx, ended.id)
    submit(ctx, "bob")

    news = news_at(ctx, UserPlace("ann", None))

    assert ["snapshot"] == names(news)
    assert [new.id, old.id] == [video["id"] for video in news.messages[0].data["videos"]]
    assert news.messages[0].data["has_more"] is False


def test_user_is_told_what_follows_the_snapshot(ctx):
    """Of all own videos, and each message's cursor leads on from it."""
    place = news_at(ctx, UserPlace("ann", None)).place
    video = submit(ctx)
    submit(ctx, "bob")
    fail(ctx, video.id)

    told = follow(ctx, place)

    assert ["created", "status_changed", "failed"] == [message.event for message in told]
    again = streams.enter_user(ctx, "ann", told[0].cursor)
    assert ["status_changed", "failed"] == [message.event for message in follow(ctx, again)]


def test_user_misses_nothing_when_an_older_transaction_commits_later(ctx, database_url):
    """Numbers are taken before commits; a cursor on numbers alone would lose the slow one's."""
    slow_video, fast_video = submit(ctx), submit(ctx)
    place = news_at(ctx, UserPlace("ann", None)).place
    slow = psycopg2.connect(database_url)
    insert = (
        "insert into video_events (video_id, event_type, seq, user_id) "
        "values (%s, 'archived', 2, 'ann')"
    )
    with slow.cursor() as cursor:
        cursor.execute(insert, (slow_video.id,))
    sql(ctx, insert.replace("%s", ":id"), id=fast_video.id)

    early = news_at(ctx, place)
    slow.commit()
    slow.close()
    late = news_at(ctx, place)

    assert ([], True) == (names(early), early.unsettled)
    assert [slow_video.id, fast_video.id] == [m.data["video_id"] for m in late.messages]


def test_user_is_told_reset_when_the_cursor_is_older_than_what_is_kept(database_url, tmp_path):
    """Events may have been pruned behind it."""
    with opened(database_url, tmp_path, event_retention_days=1.0) as ctx:
        place = news_at(ctx, UserPlace("ann", None)).place
        assert isinstance(place, UserPlace)
        old = UserPlace("ann", place.xid, 0, place.at - 90_000)

        entered = streams.enter_user(ctx, "ann", old.cursor)

        assert ["reset", "snapshot"] == names(news_at(ctx, entered))
        assert not streams.enter_user(ctx, "ann", place.cursor).missed


def test_user_is_told_reset_when_the_database_was_set_back(ctx):
    """The cursor names a transaction that this database has yet to see."""
    entered = streams.enter_user(ctx, "ann", UserPlace("ann", 2**60, 1, 2**32).cursor)

    assert ["reset", "snapshot"] == names(news_at(ctx, entered))


@pytest.mark.parametrize("cursor", ["x", "é", "MS4y", "LTEuMS4x", "1.2.3", "a" * 200])
def test_user_refuses_a_cursor_that_is_none(ctx, cursor):
    """Whatever was put there."""
    with pytest.raises(InvalidRequest) as raised:
        streams.enter_user(ctx, "ann", cursor)

    assert "after" == raised.value.param


def test_readers_at_one_place_are_told_the_same(ctx, desk):
    """One look serves all of them."""
    video = submit(ctx)
    readers = [desk.enter(caller(), VideoPlace(video.id, 0)) for _ in range(3)]

    desk.look(readers)

    assert [["created"]] * 3 == [[m.event for m in reader.take() or ()] for reader in readers]


def test_reader_who_takes_nothing_stands_still(ctx, desk):
    """What it has not been told waits in PostgreSQL, not in memory."""
    video = submit(ctx)
    slow = desk.enter(caller(), VideoPlace(video.id, 0))
    desk.look([slow])
    start(ctx, video.id)
    progress(ctx, video.id, 5)

    desk.look([slow])

    assert VideoPlace(video.id, 1) == slow.place
    assert ["created"] == [m.event for m in slow.take() or ()]
    desk.look([slow])
    assert ["status_changed", "progress"] == [m.event for m in slow.take() or ()]


def test_progress_comes_once_a_second_and_the_end_at_once(ctx):
    """The clock is the test's own."""
    now = [100.0]
    desk = Quiet(ctx, monotonic=lambda: now[0])
    video = submit(ctx)
    start(ctx, video.id)
    reader = desk.enter(caller(), VideoPlace(video.id, 2))

    def told() -> list[str]:
        desk.look([reader])
        return [m.cursor or "" for m in reader.take() or ()]

    progress(ctx, video.id, 10)
    first = told()
    progress(ctx, video.id, 20)
    soon = told()
    now[0] += 1.1
    later = told()
    progress(ctx, video.id, 30)
    fail(ctx, video.id)
    end = told()

    assert (["3"], [], ["4"], ["5", "6", "7"]) == (first, soon, later, end)
    assert reader.over


def test_user_may_have_so_many_streams_and_no_more(database_url, tmp_path):
    """Another one has room again when one is left."""
    with opened(database_url, tmp_path, streams_per_user=2) as ctx:
        desk = Quiet(ctx)
        place = UserPlace("ann", None)
        first = desk.enter(caller(), place)
        desk.enter(caller(), place)
        desk.enter(caller("bob"), UserPlace("bob", None))

        with pytest.raises(RateLimited):
            desk.enter(caller(), place)
        first.close()
        first.close()

        assert isinstance(desk.enter(caller(), place), Feed)
        assert 3 == len(desk)


def test_readers_are_told_of_changes_by_the_thread(ctx):
    """Through its own look, without anybody asking it to."""
    desk = Feeds(ctx)
    video = submit(ctx)
    reader = desk.enter(caller(), VideoPlace(video.id, None))
    try:
        told = list(read_until_over(desk, reader, lambda: fail_and_tell(ctx, desk, video.id)))
    finally:
        desk.close()

    assert ["snapshot", "status_changed", "failed"] == [m.event for m in told]


def fail_and_tell(ctx, desk: Feeds, video_id: str) -> None:
    """Let a video fail, and let the readers hear of it."""
    fail(ctx, video_id)
    desk.heard([("ann", video_id)])


def read_until_over(desk, reader, after_first) -> Iterator[streams.Message]:
    """All messages of a reader; does something after the first delivery."""
    bell = Event()
    reader.ring = bell.set
    acted = False
    while True:
        over = reader.over
        messages = reader.take()
        if messages:
            yield from messages
            if not acted:
                acted = True
                after_first()
        elif over:
            return
        else:
            assert bell.wait(20)
            bell.clear()


def test_quiet_reader_is_told_that_it_is_connected(ctx):
    """With an empty message, before a proxy cuts it off; who does not even take that has gone."""
    now = [100.0]
    desk = Quiet(ctx, monotonic=lambda: now[0])
    reader = desk.enter(caller(), UserPlace("ann", 1))

    def told() -> tuple[streams.Message, ...] | None:
        desk.beat([reader])
        return reader.take()

    at_first = told()
    now[0] += feeds.HEARTBEAT_SECONDS - feeds.LOOK_SECONDS
    early = told()
    now[0] += feeds.LOOK_SECONDS
    later = told()
    now[0] += feeds.HEARTBEAT_SECONDS
    desk.beat([reader])
    now[0] += 60
    desk.beat([reader])

    assert (None, None, ()) == (at_first, early, later)
    assert (True, 0) == (reader.over, len(desk))


def test_revoked_key_ends_its_streams(ctx):
    """Within some seconds, whoever they are looked at with; those of other keys go on."""
    now = [100.0]
    desk = Quiet(ctx, monotonic=lambda: now[0])
    mine, other = accounts.create_key(ctx, "ann"), accounts.create_key(ctx, "ann")
    readers = [
        desk.enter(Caller("ann", "user", key.key.id), UserPlace("ann", None))
        for key in (mine, other, mine)
    ]
    accounts.revoke_key(ctx, mine.key.id)

    desk.check_keys(readers)
    at_first = [reader.over for reader in readers]
    now[0] += feeds.LOOK_SECONDS
    desk.check_keys(readers[:2])

    assert [False, False, False] == at_first
    assert [True, False, False] == [reader.over for reader in readers]


def test_readers_find_theirs_over_when_the_server_stops(ctx):
    """The present ones and those who come too late."""
    desk = Quiet(ctx)
    present = desk.enter(caller(), UserPlace("ann", None))

    desk.close()

    assert (True, True) == (present.over, desk.enter(caller(), UserPlace("ann", None)).over)


def test_read_says_so_when_the_database_is_away(ctx, tmp_path):
    """The readers are looked at again later."""
    with (
        opened("postgresql://postgres@127.0.0.1:1/x", tmp_path) as away,
        pytest.raises(DependencyDown),
    ):
        streams.read(away, [UserPlace("ann", None)])
