"""Following: one worker looks at the running videos of an account, and writes only what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator import dispatch, endings, looks, policies
from orchestrator.crew import Crew
from orchestrator.db import polling, providers
from orchestrator.dispatch import FOLLOW_FROM
from orchestrator.errors import ProviderTransient
from orchestrator.policies import ENOUGH_DURATIONS, follow_delay
from orchestrator.providers import Walk
from orchestrator.records import Video
from orchestrator.rings import Ring
from orchestrator.steps import follow, sighting, trail
from tests.clock import Clock
from tests.rig import ANN, MakeRig, Rig, make_catalog


def go(rig: Rig) -> None:
    """Follow the account until nothing is left."""
    follow.follow(rig.ctx, rig.provider.name, rig.provider.account)


def running(rig: Rig, number: int) -> list[Video]:
    """So many videos at work, due now."""
    videos = [rig.submitted(f"kite {n}") for n in range(number)]
    rig.due(*videos)
    return videos


def on_look(rig: Rig, *what: Callable[[], Any]) -> None:
    """Do one of these before each look through the list."""

    def answer(act: Callable[[], Any]) -> Callable[[], Walk]:
        def walk() -> Walk:
            act()
            return rig.upstream.listing()

        return walk

    rig.upstream.script("walk", *[answer(act) for act in what])


@pytest.fixture
def quick(make_rig: MakeRig) -> Rig:
    """A rig that looks again at once."""
    return make_rig(poll_min_seconds=0.05)


def finish(rig: Rig, *videos: Video) -> Callable[[], None]:
    """Let the provider be done with these."""

    def done() -> None:
        for video in videos:
            rig.upstream.becomes(rig.upstream_id(video), "completed")

    return done


def test_follow_looks_until_every_video_is_done(quick: Rig) -> None:
    """Three looks, and each video goes on when it is seen to be done."""
    videos = running(quick, 8)
    on_look(quick, lambda: None, finish(quick, *videos[:4]), finish(quick, *videos[4:]))

    go(quick)

    assert ["store"] * 8 == [quick.video(video).step for video in videos]
    assert 3 == quick.upstream.count("walk")
    assert 0 == quick.upstream.count("retrieve")


def test_follow_stays_with_old_videos_while_nobody_knows_how_long_they_take(quick: Rig) -> None:
    """A page that shows all of them costs no more for looking at each."""
    videos = running(quick, 8)
    quick.pass_time(60)
    on_look(quick, lambda: None, finish(quick, *videos))

    go(quick)

    assert ["store"] * 8 == [quick.video(video).step for video in videos]
    assert 2 == quick.upstream.count("walk")


def test_follow_gives_old_videos_back_where_a_page_shows_mostly_others(quick: Rig) -> None:
    """Then they are looked at more and more seldom."""
    others = running(quick, 24)
    videos = running(quick, 4)
    quick.pass_time(60)
    for other in others:
        quick.sql("update videos set due_at = now() + interval '1 day' where id = :id", id=other.id)

    go(quick)

    assert ["poll"] * 4 == [quick.video(video).step for video in videos]
    assert 1 == quick.upstream.count("walk")


def test_look_without_news_writes_nothing(quick: Rig) -> None:
    """The row keeps its version from one look to the next."""
    video, *others = running(quick, 4)
    versions: list[str] = []

    def note() -> None:
        versions.append(quick.sql("select xmin::text from videos where id = :id", id=video.id))

    on_look(quick, note, note, note, finish(quick, video, *others))

    go(quick)

    assert 3 == len(versions)
    assert 1 == len(set(versions))


def test_follow_takes_what_becomes_due_meanwhile(quick: Rig) -> None:
    """Nobody needs to be rung for it."""
    videos = running(quick, 4)
    late = quick.submitted("late")
    quick.sql("update videos set due_at = now() + interval '1 hour' where id = :id", id=late.id)
    on_look(quick, lambda: quick.due(late), finish(quick, *videos, late))

    go(quick)

    assert "store" == quick.video(late).step


def test_follow_gives_back_what_runs_on_when_the_worker_stops(quick: Rig) -> None:
    """Due at once, and nobody's, for whoever comes next."""
    videos = running(quick, 4)
    on_look(quick, quick.ctx.crew.stop)

    go(quick)

    rows = [quick.video(video) for video in videos]
    assert [None] * 4 == [row.lease_token for row in rows]
    due = "select count(*) from videos where due_at <= now() and step = 'poll'"
    assert 4 == quick.sql(due)


def test_follow_leaves_alone_what_is_due_much_later(make_rig: MakeRig) -> None:
    """It is given back with its time, and the round ends."""
    rig = make_rig(poll_min_seconds=60)
    videos = running(rig, 4)

    go(rig)

    assert 1 == rig.upstream.count("walk")
    assert [None] * 4 == [rig.video(video).lease_token for video in videos]
    assert 0 == rig.sql("select count(*) from videos where due_at <= now() and step = 'poll'")


def test_cancelled_video_is_not_moved_by_whoever_follows_it(quick: Rig) -> None:
    """The cancel has taken the lease away."""
    videos = running(quick, 4)
    on_look(
        quick,
        lambda: endings.cancel(quick.ctx, ANN, videos[0].id),
        finish(quick, *videos),
    )

    go(quick)

    assert ["cancelled", *["in_progress"] * 3] == [quick.video(video).status for video in videos]


def test_failing_list_says_nothing_of_any_video(quick: Rig) -> None:
    """They are asked for one by one, and go on."""
    videos = running(quick, 4)
    quick.upstream.script("walk", ProviderTransient())
    finish(quick, *videos)()

    go(quick)

    assert ["store"] * 4 == [quick.video(video).step for video in videos]
    assert 4 == quick.upstream.count("retrieve")


def test_only_one_follows_in_a_process(quick: Rig) -> None:
    """Another message returns at once."""
    videos = running(quick, 4)
    on_look(quick, lambda: go(quick), finish(quick, *videos))

    go(quick)

    assert 2 == quick.upstream.count("walk")


def test_two_processes_share_the_videos(quick: Rig) -> None:
    """Each follows what it has claimed; every video moves once."""
    videos = running(quick, 30)
    finish(quick, *videos)()
    others = [replace(quick.ctx, crew=Crew()) for _ in range(3)]
    account = (quick.provider.name, quick.provider.account)
    threads = [Thread(target=follow.follow, args=(ctx, *account)) for ctx in others]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["progress"] * 30 == [
        event for video in videos for event in quick.events(video) if event == "progress"
    ]


def test_sweep_lets_many_be_followed_and_few_be_polled(make_rig: MakeRig) -> None:
    """One message for an account with a list; without one its videos are named."""
    rig = make_rig(max_attempts=1)
    for n in range(FOLLOW_FROM):
        rig.submitted(f"kite {n}")

    rig.pass_time(30)
    dispatch.sweep(rig.ctx)

    account = (rig.provider.name, rig.provider.account)
    broker: Any = rig.ctx.broker
    assert [Ring("follow", account, "poll")] == [r for r in broker.rings if r.queue == "poll"]


def test_sweep_leaves_the_few_due_to_whoever_follows_their_account(quick: Rig) -> None:
    """The next round takes them; asked for one by one they would cost a list of their own."""
    videos = running(quick, 4)
    late = quick.submitted("late")

    def sweep() -> None:
        quick.due(late)
        quick.rings.clear()
        dispatch.sweep(quick.ctx)

    on_look(quick, sweep, finish(quick, *videos, late))
    go(quick)
    rung_meanwhile = [task for task, _ in quick.rings if task == "poll"]
    other = quick.submitted("other")
    quick.due(other)
    dispatch.sweep(quick.ctx)

    assert [] == rung_meanwhile
    assert "store" == quick.video(late).step
    assert ["poll"] == [task for task, _ in quick.rings if task == "poll"]


@pytest.fixture
def deep(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig with a paged list, whose walks may skip what is newer than anything wanted."""
    monkeypatch.setattr(trail, "SKIP_LESS", 1)
    monkeypatch.setattr(trail, "PAGE_SIZE", 1)
    return make_rig(poll_min_seconds=0.05, catalog=make_catalog(list="paged"))


def newer(rig: Rig, number: int) -> list[Video]:
    """So many that nobody wants to look at yet."""
    videos = [rig.submitted(f"newer kite {n}") for n in range(number)]
    for video in videos:
        rig.sql("update videos set due_at = now() + interval '1 day' where id = :id", id=video.id)
    return videos


def test_follow_skips_what_is_newer_than_all_that_it_wants(deep: Rig) -> None:
    """Half of a long list may be videos that cannot be done yet. What becomes due among them is
    seen all the same.
    """
    videos = running(deep, 4)
    late = newer(deep, 5)[-1]
    on_look(deep, lambda: None, lambda: deep.due(late), finish(deep, *videos, late))

    go(deep)

    first, *others = deep.upstream.begun
    assert first is None
    assert others[0] is not None
    assert ["store"] * 5 == [deep.video(video).step for video in (*videos, late)]


def test_follow_begins_at_the_newest_when_its_place_is_gone(deep: Rig) -> None:
    """A provider that does not know the id any longer answers with nothing, or with an error."""
    videos = running(deep, 4)
    newer(deep, 5)

    def gone() -> Walk:
        finish(deep, *videos)()
        raise ProviderTransient("No such video.")

    deep.upstream.script("walk", deep.upstream.listing, gone)
    go(deep)

    assert [None, True, None] == [begin and True for begin in deep.upstream.begun]
    assert ["store"] * 4 == [deep.video(video).step for video in videos]
    assert 0 == deep.upstream.count("retrieve")


def test_news_of_many_is_written_some_at_a_time(
    quick: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that shows thousands at once neither takes long in one statement nor loses any."""
    videos = running(quick, 8)
    written: list[int] = []
    generated = polling.generated

    def note(connection: Any, found: Any, **options: Any) -> list[Video]:
        written.append(len(found))
        return generated(connection, found, **options)

    monkeypatch.setattr(sighting, "AT_ONCE", 3)
    monkeypatch.setattr(polling, "generated", note)
    on_look(quick, finish(quick, *videos))

    go(quick)

    assert [3, 3, 2] == written
    assert ["store"] * 8 == [quick.video(video).step for video in videos]


def test_news_wait_for_no_renewal_crosswise(quick: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed in the order of ids, while some of what they hold is being written: no
    transaction has locked a later one and then wants an earlier.
    """
    first, *_, last = videos = running(quick, 4)
    renewal = Thread(target=quick.ctx.leases.renew)
    still_running = polling.still_running
    query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"

    def with_renewal(connection: Any, found: Any, **options: Any) -> list[Video]:
        changed = still_running(connection, found, **options)
        renewal.start()
        while renewal.is_alive() and not quick.sql(query):
            pass
        return changed

    monkeypatch.setattr(polling, "still_running", with_renewal)

    def news() -> None:
        finish(quick, first, *videos[1:3])()
        quick.upstream.becomes(quick.upstream_id(last), "in_progress", progress=50)

    on_look(quick, news)
    go(quick)
    renewal.join()

    assert ["store", "store", "store", "poll"] == [quick.video(video).step for video in videos]
    assert 50 == quick.video(last).progress


def test_unlisted_account_is_never_followed(make_rig: MakeRig) -> None:
    """Its videos are asked for three a message."""
    rig = make_rig(catalog=make_catalog(list="none"))
    for n in range(FOLLOW_FROM):
        rig.submitted(f"kite {n}")

    rig.pass_time(30)
    dispatch.sweep(rig.ctx)

    assert not any(task == "follow" for task, _ in rig.rings)


def test_first_look_comes_at_half_the_usual_duration(make_rig: MakeRig) -> None:
    """Once enough were seen; before, after the minimum."""
    rig = make_rig(poll_min_seconds=2)
    early = rig.submitted("early")
    account = (rig.provider.name, rig.provider.account)
    with rig.ctx.database.transaction() as connection:
        for _ in range(ENOUGH_DURATIONS):
            providers.observe(connection, *account, looks.kind_of_work(early), [40.0])

    late = rig.submitted("late")

    waits = [
        (video.due_at - video.updated_at).total_seconds()
        for video in (early, late)
        if video.due_at is not None
    ]
    assert [2, 20] == [round(wait) for wait in waits]


@pytest.mark.parametrize(
    ("listed", "watched", "seconds"), [(100, 100, 5), (100, 25, 10), (100, 1, 10), (0, 0, 5)]
)
def test_follow_delay_is_short_where_a_page_shows_much(
    listed: int, watched: int, seconds: float
) -> None:
    """Half the minimum at best, the minimum where most of what is listed is known already."""
    assert seconds == follow_delay(10, listed, watched)


@pytest.mark.parametrize(
    ("listed", "expected", "seconds"),
    [
        pytest.param(9000, 600.0, 3, id="thirty calls a second"),
        pytest.param(9000, 120.0, 2, id="sixty looks at whatever takes so long"),
        pytest.param(9000, 30.0, 1, id="as between two looks at one video"),
        pytest.param(90_000, 3600.0, 15, id="never longer"),
        pytest.param(9000, 0.0, 1, id="all have just begun"),
        pytest.param(100, 3600.0, 1, id="a short list"),
    ],
)
def test_long_lists_are_looked_through_more_seldom(
    listed: int, expected: float, seconds: float
) -> None:
    """Where videos take long, nobody minds to know a little later, and a look is many calls."""
    assert seconds == follow_delay(2, listed, listed, expected=expected)


@pytest.mark.parametrize(("durations", "pause"), [([], 10), ([420.0] * ENOUGH_DURATIONS, 7)])
def test_follow_waits_by_how_long_its_videos_take(
    quick: Rig, monkeypatch: pytest.MonkeyPatch, durations: list[float], pause: float
) -> None:
    """As such videos do, or as the oldest has so far where that is not known."""
    monkeypatch.setattr(policies, "FREE_CALLS", 1e-3)
    videos = running(quick, 4)
    quick.sql("update attempts set accepted_at = accepted_at - interval '600 seconds'")
    with quick.ctx.database.transaction() as connection:
        account = (quick.provider.name, quick.provider.account)
        providers.observe(connection, *account, "sora-2 4", durations)
    pauses: list[float] = []
    monkeypatch.setattr(Crew, "pause", lambda _, seconds: pauses.append(seconds))
    on_look(quick, lambda: None, finish(quick, *videos))

    go(quick)

    assert [pause] == [round(seconds) for seconds in pauses]


def test_follow_keeps_videos_whose_provider_wants_seconds_between_looks(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the next round, and nothing is written for them in between."""
    rig = make_rig(poll_min_seconds=10)
    video, *others = running(rig, 4)
    pauses: list[float] = []
    versions: list[str] = []
    monkeypatch.setattr(Crew, "pause", lambda _, seconds: pauses.append(seconds))

    def note() -> None:
        versions.append(rig.sql("select xmin::text from videos where id = :id", id=video.id))

    on_look(rig, note, note, note, finish(rig, video, *others))

    go(rig)

    assert [5, 5, 5] == [round(pause) for pause in pauses]
    assert 1 == len(set(versions))


def test_follow_waits_for_nobody_where_many_accounts_are_followed(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for the next look at one account is none for the others."""
    monkeypatch.setattr(follow, "FEW", 0)
    rig = make_rig(poll_min_seconds=10)
    videos = running(rig, 4)

    go(rig)

    assert 1 == rig.upstream.count("walk")
    assert [None] * 4 == [rig.video(video).lease_token for video in videos]


@pytest.mark.parametrize(("few", "minimum", "times"), [(follow.FEW, 10, 120), (0, 2, 60)])
def test_round_ends_after_some_minutes_and_gives_its_videos_back(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, few: int, minimum: float, times: int
) -> None:
    """Ten of them, or one where many accounts are followed; somebody else can go on at once."""
    clock = Clock()
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(follow, "FEW", few)
    monkeypatch.setattr(Crew, "pause", lambda _, seconds: clock.sleep(seconds))
    rig = make_rig(poll_min_seconds=minimum)
    videos = running(rig, 4)

    go(rig)

    assert times == rig.upstream.count("walk")
    assert 4 == rig.sql("select count(*) from videos where lease_token is null and due_at <= now()")
    assert not rig.ctx.limits.held(looks.followed(rig.provider.name, rig.provider.account))
    assert {"in_progress"} == {rig.video(video).status for video in videos}


def test_claim_due_takes_only_the_account_that_is_asked_for(quick: Rig) -> None:
    """Other accounts have followers of their own."""
    running(quick, 3)

    with quick.ctx.database.transaction() as connection:
        theirs = polling.claim_due(connection, "other", "x", token="t", lease=30, limit=10)
        account = (quick.provider.name, quick.provider.account)
        ours = polling.claim_due(connection, *account, token="t", lease=30, limit=2)

    assert (0, 2) == (len(theirs), len(ours))
