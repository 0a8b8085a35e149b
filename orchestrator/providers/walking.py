"""Going through a provider's list page by page, without trusting it: to stop too early is to miss a
video that was paid for, and some servers answer with the same page for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from orchestrator.policies import PAGE_SIZE
from orchestrator.providers.protocol import ProviderVideo, Span, Walk
from orchestrator.providers.replies import Page

_DISORDER = timedelta(seconds=5)
"""Neighbours may stand in the wrong order by this much: several machines date one list."""

_UNDATED = datetime.min.replace(tzinfo=UTC)


def walk(
    fetch: Callable[[str | None], tuple[Page, timedelta]],
    span: Span,
    *,
    paged: bool,
) -> Walk:
    """Fetch pages until the list is known as far as is asked, or ends, or repeats itself.

    fetch: from the id after which the page begins (None = the newest) to the page and the server's
    clock minus ours. paged: whether the profile promises pages; a list that does not say `has_more`
    is whole only where it does not.
    """
    seen: dict[str, ProviderVideo] = {}
    missing = set(span.wanted)
    after = span.after
    offset = timedelta(0)
    reached = False
    readable = True
    for number in range(span.max_pages):
        page, clock_offset = fetch(after)
        offset = clock_offset if number == 0 else offset
        readable = readable and page.complete
        fresh = [video for video in page.videos if video.id not in seen]
        seen.update((video.id, video) for video in fresh)
        if _ends(page, paged) or _goes_back_past(page.videos, span.until + offset):
            reached = True
            break
        missing.difference_update(video.canonical_id for video in fresh)
        if not fresh or (span.wanted and not missing):
            break
        after = page.videos[-1].id
    newest_first = sorted(seen.values(), key=lambda v: v.created_at or _UNDATED, reverse=True)
    return Walk(tuple(newest_first), reached and readable, offset)


def _ends(page: Page, paged: bool) -> bool:
    """Whether there is nothing after this page."""
    if page.has_more is not None:
        return not page.has_more
    if paged:
        return not page.videos and page.complete
    # Such servers hold to `limit` or ignore it; only a page of exactly that size leaves a doubt.
    return len(page.videos) != PAGE_SIZE


def _goes_back_past(videos: Sequence[ProviderVideo], moment: datetime) -> bool:
    """Whether all that is newer than `moment` is on this page or before it.

    Only a page that really descends can tell: a server that ignores `order` starts with its oldest.
    """
    times = [video.created_at for video in videos if video.created_at is not None]
    if not times or len(times) < len(videos) or times[0] < times[-1]:
        return False
    descends = all(later <= earlier + _DISORDER for earlier, later in pairwise(times))
    return descends and times[-1] + _DISORDER < moment
