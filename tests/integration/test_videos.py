"""Reading videos: cache, then database; pages that neither repeat nor skip; statistics."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator import endings, quotas, submissions, videos
from orchestrator.cache import Cache
from orchestrator.errors import InvalidRequest, NotFound
from orchestrator.rings import Ring
from orchestrator.videos import Filters
from tests.core import accept, caller, make_request, opened, race, row, sql, submit, types_of
from tests.factories import NOWHERE, complete, fail


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def walk(ctx, filters=None, *, limit=2, user=None):
    """The ids of all pages, one after the other."""
    ids, cursor = [], None
    while True:
        page = videos.page(ctx, user or caller(), filters or Filters(), limit=limit, cursor=cursor)
        assert len(page.videos) <= limit
        ids += [video.id for video in page.videos]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def test_get_answers_from_the_cache_when_it_is_there(ctx):
    """What is cached is shown, the database is not asked."""
    video = submit(ctx)
    sql(ctx, "update videos set prompt = 'changed by hand'")

    assert "a red kite" == videos.get(ctx, caller(), video.id)["prompt"]


def test_get_fills_the_cache_when_it_is_empty(ctx):
    """The second reader is spared the database."""
    video = submit(ctx)
    ctx.cache.clear_videos()

    body = videos.get(ctx, caller(), video.id)

    assert body == ctx.cache.get_video(video.id)


def test_get_works_without_a_cache(ctx):
    """Redis makes it faster, not possible."""
    video = submit(ctx)
    bare = replace(ctx, cache=Cache(NOWHERE))

    assert video.id == videos.get(bare, caller(), video.id)["id"]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("case", ["foreign", "deleted", "unknown", "strange"])
def test_get_finds_nothing_when_it_is_not_the_callers(ctx, case, cached):
    """The cache shows no more than the database would."""
    video = submit(ctx)
    if case == "deleted":
        endings.delete(ctx, caller(), video.id)
    if not cached:
        ctx.cache.clear_videos()
    video_id = {"unknown": "video_" + "0" * 32, "strange": "..%2f"}.get(case, video.id)

    with pytest.raises(NotFound):
        videos.get(ctx, caller("bob" if case == "foreign" else "ann"), video_id)


@pytest.mark.parametrize("cached", [True, False])
def test_get_shows_an_admin_anybodys_video(ctx, cached):
    """Operators see what users see."""
    video = submit(ctx)
    if not cached:
        ctx.cache.clear_videos()

    assert "ann" == videos.get(ctx, caller("root", "admin"), video.id)["user_id"]


def stale(ctx, video_id):
    """Let the last look at a running video be long ago, and the next one not be due yet."""
    sql(
        ctx,
        "update videos set last_polled_at = now() - interval '1 minute', rung_at = null, "
        "due_at = now() + interval '10 seconds' where id = :id",
        id=video_id,
    )
    ctx.broker.rings.clear()


def test_get_rings_a_poll_when_the_last_look_is_old(ctx):
    """Whoever waits makes the next look due now; the answer does not wait for it."""
    video = submit(ctx)
    accept(ctx, video.id)
    stale(ctx, video.id)

    videos.get(ctx, caller(), video.id)

    assert [Ring("poll", ([video.id],), "poll")] == ctx.broker.rings
    assert [(True,)] == sql(ctx, "select due_at <= now() from videos")


def test_get_rings_once_when_a_client_polls_wildly(ctx):
    """Once per video and POLL_MIN_SECONDS, from however many readers."""
    video = submit(ctx)
    accept(ctx, video.id)
    stale(ctx, video.id)

    race(*[lambda: videos.get(ctx, caller(), video.id) for _ in range(10)])

    assert 1 == len(ctx.broker.rings)


@pytest.mark.parametrize(
    "change",
    [
        "last_polled_at = now() - interval '1 second'",
        "due_at = now() - interval '1 second'",
        "lease_token = 't', lease_until = now() + interval '9 seconds'",
        "step = 'store'",
    ],
)
def test_get_rings_nothing_when_a_look_would_tell_nothing_new(ctx, change):
    """Looked at just now, due anyway, being looked at, or finished upstream."""
    video = submit(ctx)
    accept(ctx, video.id)
    stale(ctx, video.id)
    sql(ctx, f"update videos set {change}")  # noqa: S608 - the cases above

    videos.get(ctx, caller(), video.id)

    assert [] == ctx.broker.rings


def test_get_rings_nothing_for_what_is_not_at_the_provider(ctx):
    """A queued or finished video has nothing to look at."""
    queued, done = submit(ctx), complete(ctx, submit(ctx).id)
    ctx.broker.rings.clear()

    videos.get(ctx, caller(), queued.id)
    videos.get(ctx, caller(), done.id)

    assert [] == ctx.broker.rings


def test_pages_show_each_video_once_newest_first(ctx):
    """Whatever the size of a page."""
    made = [submit(ctx).id for _ in range(7)]
    submit(ctx, "bob")

    for limit in (1, 3, 7, 8):
        assert made[::-1] == walk(ctx, limit=limit)


def test_pages_keep_their_place_when_rows_come_and_go(ctx):
    """A new video does not shift the pages; a deleted cursor row still marks its place."""
    made = [submit(ctx).id for _ in range(4)]
    first = videos.page(ctx, caller(), Filters(), limit=2)

    submit(ctx)
    endings.delete(ctx, caller(), made[2])
    second = videos.page(ctx, caller(), Filters(), limit=2, cursor=first.next_cursor)

    assert [made[1], made[0]] == [video.id for video in second.videos]
    assert second.next_cursor is None


def test_pages_are_in_order_when_videos_share_their_moment(ctx):
    """Rows of one transaction have one `created_at`; the id decides."""
    made = [submit(ctx).id for _ in range(5)]
    sql(ctx, "update videos set created_at = '2026-11-01T00:00:00Z'")

    assert sorted(made, reverse=True) == walk(ctx, limit=2)


def test_last_page_has_no_cursor(ctx):
    """Nobody asks for an empty page."""
    submit(ctx)
    submit(ctx)

    assert videos.page(ctx, caller(), Filters(), limit=2).next_cursor is None
    assert ([], None) == (
        videos.page(ctx, caller("bob"), Filters()).videos,
        videos.page(ctx, caller("bob"), Filters()).next_cursor,
    )


def test_filters_choose(ctx):
    """Each filter by itself, and two together."""
    red = submit(ctx, prompt="a red kite")
    blue = submit(ctx, prompt="a BLUE kite", model="sora-2-pro")
    odd = submit(ctx, prompt="100% of_it \\ here")
    fail(ctx, red.id)
    videos.archive(ctx, caller(), odd.id)

    def ids(**filters):
        return set(walk(ctx, Filters(**filters)))

    assert {red.id, blue.id} == ids()
    assert {odd.id} == ids(archived=True)
    assert {red.id, blue.id, odd.id} == ids(archived=None)
    assert {red.id} == ids(status=("failed",))
    assert {red.id, blue.id} == ids(status=("failed", "queued"))
    assert {blue.id} == ids(model="sora-2-pro")
    assert {blue.id} == ids(q="blue")
    assert set() == ids(status=("failed",), q="blue")
    assert {odd.id} == ids(q="100% of_it \\", archived=None)
    assert set() == ids(q="%d_k", archived=None)


def test_filter_by_time_excludes_its_ends(ctx):
    """After and before, not at."""
    made = [submit(ctx) for _ in range(3)]
    second = timedelta(microseconds=1)

    def ids(**filters):
        return set(walk(ctx, Filters(**filters)))

    assert {made[2].id} == ids(created_after=made[1].created_at)
    assert {made[0].id} == ids(created_before=made[1].created_at)
    assert {made[1].id} == ids(
        created_after=made[1].created_at - second, created_before=made[1].created_at + second
    )


def test_deleted_videos_are_listed_only_when_asked_for(ctx):
    """By their status, and by nothing else."""
    video = submit(ctx)
    endings.delete(ctx, caller(), video.id)

    assert [] == walk(ctx)
    assert [video.id] == walk(ctx, Filters(status=("deleted",)))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%%%",
        "abc",
        "ä",
        base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b'"text"').decode(),
        base64.urlsafe_b64encode(b"null").decode(),
        base64.urlsafe_b64encode(b"[1, 2, 3]").decode(),
        base64.urlsafe_b64encode(b'{"a": 1, "b": 2, "c": 3}').decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_cursor_is_refused_when_it_is_none_of_ours(ctx, cursor):
    """A mistyped cursor is the client's mistake, named."""
    with pytest.raises(InvalidRequest) as caught:
        videos.page(ctx, caller(), Filters(), cursor=cursor)

    assert "cursor" == caught.value.param


def test_cursor_is_refused_when_the_filters_are_others(ctx):
    """A cursor belongs to the list that gave it."""
    for _ in range(3):
        submit(ctx)
    cursor = videos.page(ctx, caller(), Filters(), limit=1).next_cursor

    with pytest.raises(InvalidRequest, match="other filters"):
        videos.page(ctx, caller(), Filters(status=("queued",)), cursor=cursor)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "2026-11-22T00:00:00"), (0, "yesterday"), (1, "x"), (1, None), (1, ["video_"])],
)
def test_cursor_is_refused_when_it_was_tampered_with(ctx, place, value):
    """Only what we could have written is read."""
    for _ in range(3):
        submit(ctx)
    cursor = videos.page(ctx, caller(), Filters(), limit=1).next_cursor
    parts = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    parts[place] = value
    forged = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()

    with pytest.raises(InvalidRequest):
        videos.page(ctx, caller(), Filters(), cursor=forged)


def test_foreign_cursor_shows_only_the_callers_videos(ctx):
    """A cursor is a place, no right."""
    submit(ctx)
    submit(ctx)
    mine = submit(ctx, "bob")
    cursor = videos.page(ctx, caller("ann"), Filters(), limit=1).next_cursor

    shown = videos.page(ctx, caller("bob"), Filters(), cursor=cursor).videos

    assert [] == [video.id for video in shown if video.id != mine.id]


def test_pending_lists_what_is_not_finished_oldest_first(ctx):
    """Of all users, queued and running alike."""
    first, second = submit(ctx), submit(ctx, "bob")
    accept(ctx, second.id)
    fail(ctx, submit(ctx).id)

    assert [first.id, second.id] == [video.id for video in videos.pending(ctx)]
    assert [first.id] == [video.id for video in videos.pending(ctx, limit=1)]


def test_stats_count_by_status_and_add_up_the_spend(ctx):
    """A user's numbers; deleted videos count in the money only."""
    submit(ctx)
    accept(ctx, submit(ctx).id)
    done = complete(ctx, submit(ctx).id)
    fail(ctx, submit(ctx).id)
    endings.cancel(ctx, caller(), submit(ctx).id)
    gone = complete(ctx, submit(ctx).id)
    endings.delete(ctx, caller(), gone.id)
    submit(ctx, "bob")
    videos.archive(ctx, caller(), done.id)
    sql(ctx, "update videos set cost_actual = 0.2 where status in ('completed', 'deleted')")

    assert {
        "total": 5,
        "queued": 1,
        "in_progress": 1,
        "completed": 1,
        "failed": 1,
        "cancelled": 1,
        "archived": 1,
        "spend": 0.4,
    } == videos.stats(ctx, "ann")
    assert 6 == videos.stats(ctx, None)["total"]
    assert {"total": 0, "spend": 0.0} == {
        name: videos.stats(ctx, "nobody")[name] for name in ("total", "spend")
    }


def test_archive_puts_away_and_back(ctx):
    """Both ways are told, and doing it twice changes nothing."""
    video = submit(ctx)

    away = videos.archive(ctx, caller(), video.id)
    same = videos.archive(ctx, caller(), video.id)
    back = videos.archive(ctx, caller(), video.id, archived=False)

    assert away == same
    assert away.archived_at is not None
    assert back.archived_at is None
    assert [("created",), ("archived",), ("unarchived",)] == sql(
        ctx, "select event_type from video_events order by seq"
    )
    assert back.seq == (ctx.cache.get_video(video.id) or {})["seq"]


def test_archive_gives_nothing_back(ctx):
    """An archived video counts as before, and goes on."""
    video = submit(ctx)

    videos.archive(ctx, caller(), video.id)

    assert 1 == quotas.get(ctx, "ann").videos_created
    assert "queued" == row(ctx, video.id).status


def test_archive_is_told_once_when_many_ask_at_once(ctx):
    """Ten clicks, one event."""
    video = submit(ctx)

    outcomes = race(*[lambda: videos.archive(ctx, caller(), video.id) for _ in range(10)])

    assert {"Video": 10} == types_of(outcomes)
    assert 2 == row(ctx, video.id).seq


@pytest.mark.parametrize("case", ["foreign", "deleted"])
def test_archive_finds_nothing_when_it_is_not_the_callers(ctx, case):
    """As for every other change."""
    video = submit(ctx)
    if case == "deleted":
        endings.delete(ctx, caller(), video.id)

    with pytest.raises(NotFound):
        videos.archive(ctx, caller("bob" if case == "foreign" else "ann"), video.id)


def test_late_writer_does_not_bring_back_an_older_state(ctx):
    """Create and cancel: whoever writes the cache last, the newer state stays."""
    created = submissions.create(ctx, caller(), make_request()).video
    endings.cancel(ctx, caller(), created.id)

    from_a_slow_reader = {**videos.get(ctx, caller(), created.id), "seq": 1, "status": "queued"}
    ctx.cache.put_video(from_a_slow_reader)

    assert "cancelled" == videos.get(ctx, caller(), created.id)["status"]
