"""Histories: complete, in order, and visible to the owner alone."""

from dataclasses import replace

import pytest

from orchestrator import endings, events, submissions
from orchestrator.db.engine import Database
from orchestrator.errors import NotFound
from orchestrator.videos import archive
from tests.core import accept, caller, opened, race, row, sql, submit, types_of
from tests.factories import complete, fail


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def test_history_tells_a_whole_life_in_order(ctx):
    """Numbers run without a gap from the first event to the last."""
    video = complete(ctx, submit(ctx).id)
    archive(ctx, caller(), video.id)

    told = events.history(ctx, caller(), video.id)

    assert [
        (1, "created"),
        (2, "status_changed"),
        (3, "status_changed"),
        (4, "completed"),
        (5, "archived"),
    ] == [(event.seq, event.event_type) for event in told]
    assert row(ctx, video.id).seq == told[-1].seq
    assert {video.id} == {event.video_id for event in told}
    assert {"ann"} == {event.user_id for event in told}


def test_history_goes_on_behind_an_event(ctx):
    """A reader that knows some of it gets the rest, as much as asked for."""
    video = complete(ctx, submit(ctx).id)
    first, second, third, _ = events.history(ctx, caller(), video.id)

    assert [second, third] == events.history(ctx, caller(), video.id, after=first.id, limit=2)


@pytest.mark.parametrize("case", ["foreign", "unknown", "deleted"])
def test_history_is_not_found_when_the_video_is_not_the_callers(ctx, case):
    """Events betray no more than the video itself."""
    video = submit(ctx)
    if case == "deleted":
        endings.delete(ctx, caller(), video.id)

    with pytest.raises(NotFound):
        events.history(
            ctx,
            caller("bob" if case == "foreign" else "ann"),
            "video_" + "0" * 32 if case == "unknown" else video.id,
        )


def test_history_is_open_to_an_admin(ctx):
    """Operators see what happened to anybody's video."""
    video = submit(ctx)

    assert 1 == len(events.history(ctx, caller("root", "admin"), video.id))


def test_recent_events_are_the_users_own_newest_first(ctx):
    """Across all videos of one user."""
    one, other = submit(ctx), submit(ctx)
    submit(ctx, "bob")
    fail(ctx, one.id)

    told = events.recent(ctx, "ann")

    assert [
        ("failed", one.id),
        ("status_changed", one.id),
        ("created", other.id),
        ("created", one.id),
    ] == [(event.event_type, event.video_id) for event in told]


def test_recent_events_are_everybodys_when_no_user_is_named(ctx):
    """An admin's view."""
    submit(ctx)
    submit(ctx, "bob")

    assert ["bob", "ann"] == [event.user_id for event in events.recent(ctx, None)]


def test_recent_events_can_be_chosen_by_type(ctx):
    """Only what one wants to know."""
    video = submit(ctx)
    fail(ctx, video.id)

    told = events.recent(ctx, "ann", types=("failed", "created"))

    assert ["failed", "created"] == [event.event_type for event in told]


def test_recent_events_come_in_pages(ctx):
    """Before the last one of a page, and never more than asked for."""
    for _ in range(5):
        submit(ctx)
    whole = events.recent(ctx, "ann")

    first = events.recent(ctx, "ann", limit=2)
    second = events.recent(ctx, "ann", limit=2, before=first[-1].id)

    assert whole[:4] == first + second


def test_download_is_noted_without_a_number(ctx):
    """Who fetched it, from where; the video's version does not move."""
    video = complete(ctx, submit(ctx).id)

    events.downloaded(ctx, video.id, ip="192.0.2.1", user_agent="curl/8", variant="thumbnail")

    noted = events.history(ctx, caller(), video.id)[-1]
    assert ("downloaded", None) == (noted.event_type, noted.seq)
    assert {"ip": "192.0.2.1", "user_agent": "curl/8", "variant": "thumbnail"} == noted.event_data
    assert video.seq == row(ctx, video.id).seq


def test_download_keeps_a_long_user_agent_short(ctx):
    """What a client says of itself cannot fill the table."""
    video = complete(ctx, submit(ctx).id)

    events.downloaded(ctx, video.id, ip=None, user_agent="x" * 10_000)

    noted = events.history(ctx, caller(), video.id)[-1]
    assert (500, None) == (len(noted.event_data["user_agent"]), noted.event_data["ip"])


@pytest.mark.parametrize("agent", ["a\0b", "a\ud800b"])
def test_download_is_never_refused_for_what_the_client_says(ctx, agent):
    """Of a user agent that no database can hold, what can be held is kept."""
    video = complete(ctx, submit(ctx).id)

    events.downloaded(ctx, video.id, ip="192.0.2.1", user_agent=agent)

    assert "ab" == events.history(ctx, caller(), video.id)[-1].event_data["user_agent"]


def test_download_is_never_refused_when_the_database_is_away(ctx):
    """A lost note harms nobody."""
    away = Database("postgresql://postgres@127.0.0.1:1/x")

    events.downloaded(replace(ctx, database=away), "video_" + "0" * 32, ip=None, user_agent=None)


def test_download_of_a_video_that_is_gone_is_noted_nowhere(ctx):
    """No video, no event, no error."""
    events.downloaded(ctx, "video_" + "0" * 32, ip=None, user_agent=None)

    assert [] == events.recent(ctx, None)


def test_numbers_have_no_gap_when_everything_happens_at_once(ctx):
    """Archiving, cancelling, deleting and accepting in any order: 1, 2, 3 …"""
    for _ in range(5):
        video = submit(ctx)

        outcomes = race(
            lambda v=video.id: accept(ctx, v),
            lambda v=video.id: endings.cancel(ctx, caller(), v),
            lambda v=video.id: archive(ctx, caller(), v),
            lambda v=video.id: archive(ctx, caller(), v, archived=False),
            lambda v=video.id: events.downloaded(ctx, v, ip=None, user_agent=None),
        )

        assert "DependencyDown" not in types_of(outcomes)
        seqs = sql(
            ctx,
            "select seq from video_events where video_id = :id and seq is not null order by id",
            id=video.id,
        )
        assert list(range(1, row(ctx, video.id).seq + 1)) == [seq for (seq,) in seqs]


def test_remix_is_told_in_its_own_history(ctx):
    """The source's history stays as it was; the remix names its source."""
    source = complete(ctx, submit(ctx).id)

    remix = submissions.remix(ctx, caller(), source.id, "a blue kite").video

    assert {"source_video_id": source.id, "prompt": "a blue kite"} == events.history(
        ctx, caller(), remix.id
    )[-1].event_data
    assert 4 == len(events.history(ctx, caller(), source.id))


def test_attempts_tell_how_a_video_was_submitted(ctx):
    """Each submission in order, with what became of it."""
    video = submit(ctx)
    assert [] == events.attempts(ctx, caller(), video.id)

    accept(ctx, video.id, "up_1")

    assert [(1, "accepted")] == [
        (one.n, one.state) for one in events.attempts(ctx, caller(), video.id)
    ]


def test_family_is_the_same_whichever_member_is_asked_for(ctx):
    """What a video came from and all that came from that, a retry of a remix too, oldest first."""
    source = complete(ctx, submit(ctx).id)
    stranger = submit(ctx, prompt="another one")
    remix = submissions.remix(ctx, caller(), source.id, "blue").video
    other = submissions.remix(ctx, caller(), source.id, "green").video
    fail(ctx, other.id)
    retry = submissions.retry(ctx, caller(), other.id).video

    told = [
        [one.id for one in events.family(ctx, caller(), member.id)]
        for member in (source, remix, other, retry)
    ]

    assert [[source.id, remix.id, other.id, retry.id]] * 4 == told
    assert [stranger.id] == [one.id for one in events.family(ctx, caller(), stranger.id)]


def test_family_holds_together_when_its_middle_was_deleted(ctx):
    """A deleted video is not told of; what came from it is."""
    source = complete(ctx, submit(ctx).id)
    middle = complete(ctx, submissions.remix(ctx, caller(), source.id, "blue").video.id)
    last = submissions.remix(ctx, caller(), middle.id, "green").video
    endings.delete(ctx, caller(), middle.id)

    told = [one.id for one in events.family(ctx, caller(), last.id)]

    assert [source.id, last.id] == told


@pytest.mark.parametrize("read", [events.attempts, events.family])
def test_past_is_not_found_when_the_video_is_another_users(ctx, read):
    """Nobody learns from it that there is such a video."""
    video = submit(ctx)

    with pytest.raises(NotFound):
        read(ctx, caller("bob"), video.id)
