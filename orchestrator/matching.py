"""Which video in a provider's list came of which attempt. Pure.

Only what the list shows exactly can tell two requests apart, and equal requests are
interchangeable: what is decided here never gives a user something that was not asked for in the
same words.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.catalog import Provider
from orchestrator.fingerprints import plain
from orchestrator.lifecycle import TERMINAL, AttemptState
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video

CLOCK_SLACK = timedelta(seconds=5)
Open = tuple[Video, Attempt]
_OPEN = frozenset({AttemptState.SENT, AttemptState.UNKNOWN})


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


class _Candidate:
    """An attempt, what it asked for (`wish`), and what a video must show to be its own."""

    def __init__(self, provider: Provider, pair: Open, server_offset: timedelta):
        video, attempt = pair
        self.pair = pair
        self.is_open = attempt.state in _OPEN
        self._earliest = attempt.sent_at - CLOCK_SLACK + server_offset
        echoed = provider.profile.echoes
        self._shown = {
            "model": provider.upstream_model(video.model) if "model" in echoed else None,
            "seconds": video.seconds if "seconds" in echoed else None,
            "size": video.size if "size" in echoed else None,
        }
        self._prompt = plain(video.prompt) if "prompt" in echoed else None
        self.wish = _wish(provider, pair)

    def fits(self, found: ProviderVideo) -> bool:
        """What a list does not show never disqualifies."""
        if found.created_at is not None and found.created_at < self._earliest:
            return False
        for name, ours in self._shown.items():
            theirs = getattr(found, name)
            if ours is not None and theirs is not None and ours != theirs:
                return False
        if self._prompt is None or found.prompt is None:
            return True
        return self._prompt == plain(found.prompt)
