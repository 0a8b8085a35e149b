"""Going through lists: when a look is complete, and when it proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from orchestrator.providers.protocol import ProviderVideo, Span, Walk
from orchestrator.providers.replies import Page
from orchestrator.providers.walking import PAGE_SIZE, walk

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)


def video(number: int, age: float | None = 0) -> ProviderVideo:
    created = None if age is None else NOW - timedelta(seconds=age)
    name = f"v{number}"
    return ProviderVideo(name, name, "queued", "queued", created_at=created)


def page(videos: Sequence[ProviderVideo], more: bool | None = False, complete: bool = True) -> Page:
    return Page(tuple(videos), more, complete)


class Lists:
    """A list that was written down page by page; the last page repeats."""

    def __init__(self, *pages: Page, offset: timedelta = timedelta(0)):
        self.pages = list(pages)
        self.offset = offset
        self.asked: list[str | None] = []

    def __call__(self, after: str | None) -> tuple[Page, timedelta]:
        self.asked.append(after)
        page = self.pages[min(len(self.asked), len(self.pages)) - 1]
        return page, self.offset

    def walk(self, *, until: datetime = LONG_AGO, max_pages: int = 10, paged: bool = True) -> Walk:
        return walk(self, Span(until, max_pages), paged=paged)


def test_pages_are_followed_to_the_end() -> None:
    """Each page begins after the last video of the one before."""
    lists = Lists(page([video(1), video(2, 5)], True), page([video(3, 9)]))

    look = lists.walk()

    assert look.reached
    assert [None, "v2"] == lists.asked
    assert ["v1", "v2", "v3"] == [video.id for video in look.videos]


def test_a_walk_may_begin_after_an_id() -> None:
    """The first page is the one that comes after it."""
    lists = Lists(page([video(2), video(1)]))

    walk(lists, Span(LONG_AGO, 10, after="newer"), paged=True)

    assert ["newer"] == lists.asked


def test_an_empty_list_is_a_complete_look() -> None:
    """Nothing there is something known."""
    assert Lists(page([])).walk().reached


def test_the_walk_ends_when_it_is_past_the_asked_time() -> None:
    """Older pages cannot hold what is looked for."""
    lists = Lists(page([video(1), video(2, 700)], True))

    look = lists.walk(until=NOW - timedelta(seconds=600))

    assert look.reached
    assert 1 == len(lists.asked)


def test_the_asked_time_is_translated_to_the_servers_clock() -> None:
    """A server an hour behind has dated everything an hour earlier."""
    lists = Lists(page([video(1, 3700)], True), offset=timedelta(hours=-1))

    look = lists.walk(until=NOW - timedelta(seconds=600), max_pages=1)

    assert not look.reached
    assert timedelta(hours=-1) == look.server_offset


def test_a_list_that_ascends_is_not_believed_to_descend() -> None:
    """A server that ignores `order` shows its oldest first: the newest are still to come."""
    lists = Lists(page([video(1, 900), video(2, 800)], True), page([video(3)], False))

    look = lists.walk(until=NOW - timedelta(seconds=600))

    assert 2 == len(lists.asked)
    assert ["v3", "v2", "v1"] == [video.id for video in look.videos]


def test_neighbours_in_slight_disorder_still_descend() -> None:
    """Several machines may date one list."""
    lists = Lists(page([video(1, 0), video(2, 701), video(3, 700)], True))

    assert lists.walk(until=NOW - timedelta(seconds=600), max_pages=1).reached


def test_undated_videos_prove_nothing_about_time() -> None:
    """Without dates only the end of the list is an end."""
    lists = Lists(page([video(1, None)], True))

    assert not lists.walk(max_pages=1).reached


def test_the_same_page_again_ends_the_walk_unproven() -> None:
    """A server that ignores `after` would answer for ever."""
    lists = Lists(page([video(1), video(2, 5)], True))

    look = lists.walk(max_pages=50)

    assert not look.reached
    assert 2 == len(lists.asked)


def test_too_many_pages_end_the_walk_unproven() -> None:
    """The bound on the work is no bound on what exists."""
    lists = Lists(*[page([video(n, n)], True) for n in range(9)])

    look = lists.walk(max_pages=3)

    assert (3, False) == (len(look.videos), look.reached)


def test_a_paged_list_without_has_more_ends_with_an_empty_page() -> None:
    """A short page may be the server's own limit."""
    lists = Lists(page([video(1), video(2, 5)], None), page([], None))

    look = lists.walk(paged=True)

    assert look.reached
    assert 2 == len(lists.asked)


def test_an_unpaged_list_is_whole() -> None:
    """Fewer than a page, or more: such servers have shown everything."""
    few = Lists(page([video(1)], None))
    many = Lists(page([video(n, n) for n in range(PAGE_SIZE + 1)], None))

    assert few.walk(paged=False).reached
    assert many.walk(paged=False).reached
    assert [1, 1] == [len(few.asked), len(many.asked)]


def test_an_unpaged_list_of_exactly_one_page_is_asked_again() -> None:
    """It may have been cut at the limit; the next page tells."""
    full = page([video(n, n) for n in range(PAGE_SIZE)], None)
    lists = Lists(full, page([video(PAGE_SIZE, PAGE_SIZE)], None))

    look = lists.walk(paged=False)

    assert look.reached
    assert PAGE_SIZE + 1 == len(look.videos)


def test_an_unreadable_entry_makes_the_look_inconclusive() -> None:
    """It may be the one that is looked for."""
    assert not Lists(page([video(1)], False, complete=False)).walk().reached
