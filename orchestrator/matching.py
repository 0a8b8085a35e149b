"""Which video in a provider's list came of which attempt. Pure.

Only what the list shows exactly can tell two requests apart, and equal requests are
interchangeable: what is decided here never gives a user something that was not asked for in the
same words.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.catalog import Provider
from orchestrator.fingerprints import plain
from orchestrator.lifecycle import OPEN_ATTEMPTS, TERMINAL, AttemptState
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video

CLOCK_SLACK = timedelta(seconds=5)
Open = tuple[Video, Attempt]


@dataclass(frozen=True, slots=True)
class Matched:
    """What a list tells: pairs to adopt; `expected` more videos belong to attempts whose answer
    is still under way; `unsure` attempts, as (video id, n), may or may not be in it.
    """

    pairs: Sequence[tuple[Open, ProviderVideo]]
    expected: int
    unsure: frozenset[tuple[str, int]]


def match(
    provider: Provider,
    waiting: Iterable[Open],
    listed: Iterable[ProviderVideo],
    *,
    server_offset: timedelta = timedelta(0),
) -> Matched:
    """Pair attempts with listed videos that nobody has claimed.

    The oldest attempt takes the oldest video that fits; videos that somebody still waits for come
    before those that were cancelled, and attempts that are open before those that were given up.
    An attempt that is being sent takes its turn like the others, so that nobody takes its video,
    but its own answer settles it.

    A listed video that shows less than the profile says may fit attempts that did not ask for the
    same. It is given to none of them.

    Args:
        waiting: attempts that are sent, unknown or abandoned.
        listed: videos of the list that belong to no attempt yet.
        server_offset: the provider's clock minus ours.
    """
    candidates = [_Candidate(provider, pair, server_offset) for pair in sorted(waiting, key=_rank)]
    free = sorted(listed, key=lambda found: (found.created_at is None, found.created_at))
    sure: list[ProviderVideo] = []
    unsure: list[ProviderVideo] = []
    for found in free:
        wishes = {each.wish for each in candidates if each.is_open and each.fits(found)}
        (sure if len(wishes) <= 1 else unsure).append(found)
    pairs = []
    left = []
    for each in candidates:
        place = next((n for n, found in enumerate(sure) if each.fits(found)), None)
        if place is not None:
            pairs.append((each.pair, sure.pop(place)))
        elif each.is_open and any(each.fits(found) for found in unsure):
            left.append((each.pair[1].video_id, each.pair[1].n))
    settled = [pair for pair in pairs if pair[0][1].state != AttemptState.SENT]
    return Matched(settled, len(pairs) - len(settled), frozenset(left))


def _rank(candidate: Open) -> tuple[bool, bool, object]:
    video, attempt = candidate
    return (
        attempt.state == AttemptState.ABANDONED,
        video.status in TERMINAL,
        attempt.sent_at,
    )


def _wish(provider: Provider, pair: Open) -> Hashable:
    """Equal for attempts that are interchangeable; nobody else's for one with hidden parts."""
    video, attempt = pair
    whole = provider.profile.shows_whole(
        has_image=video.input_key is not None,
        has_quality=video.quality is not None,
        kind=video.kind,
    )
    if not whole:
        return attempt.video_id, attempt.n
    return video.model, video.seconds, video.size, plain(video.prompt)


def _asked(provider: Provider, video: Video) -> dict[str, str]:
    """What the provider's list is said to show of a request, as it would show it."""
    fields = {
        "model": provider.upstream_model(video.model),
        "seconds": video.seconds,
        "size": video.size,
        "prompt": plain(video.prompt),
    }
    return {name: value for name, value in fields.items() if name in provider.profile.echoes}


def changed(provider: Provider, video: Video, found: ProviderVideo) -> dict[str, tuple[str, str]]:
    """The fields in which a listed video is not what was asked for, though the profile says that
    they come back as they were sent: (sent, shown). Such a video would not be recognised.
    """
    differing = _differing(_asked(provider, video), found)
    return {name: (sent, shown) for name, sent, shown in differing}


def _differing(asked: Mapping[str, str], found: ProviderVideo) -> Iterator[tuple[str, str, str]]:
    """What a list does not show never differs."""
    for name, sent in asked.items():
        shown: str | None = getattr(found, name)
        if shown is not None and sent != (plain(shown) if name == "prompt" else shown):
            yield name, sent, shown


class _Candidate:
    """An attempt, what it asked for (`wish`), and what a video must show to be its own."""

    def __init__(self, provider: Provider, pair: Open, server_offset: timedelta):
        video, attempt = pair
        self.pair = pair
        self.is_open = attempt.state in OPEN_ATTEMPTS
        self._earliest = attempt.sent_at - CLOCK_SLACK + server_offset
        self._asked = _asked(provider, video)
        self.wish = _wish(provider, pair)

    def fits(self, found: ProviderVideo) -> bool:
        """Whether it may be this attempt's."""
        if found.created_at is not None and found.created_at < self._earliest:
            return False
        return next(_differing(self._asked, found), None) is None
