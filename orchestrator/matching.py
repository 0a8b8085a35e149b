"""Which video in a provider's list came of which attempt. Pure.

Only what the list shows exactly can tell two requests apart, and equal requests are
interchangeable: what is decided
here never gives a user something that was not asked for in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from orchestrator.catalog import Provider
from orchestrator.fingerprints import plain
from orchestrator.lifecycle import TERMINAL, AttemptState
from orchestrator.providers import ProviderVideo
from orchestrator.records import Attempt, Video

CLOCK_SLACK = timedelta(seconds=5)
Open = tuple[Video, Attempt]


def match(
    provider: Provider,
    waiting: Iterable[Open],
    listed: Iterable[ProviderVideo],
    *,
    server_offset: timedelta = timedelta(0),
) -> list[tuple[Open, ProviderVideo]]:
    """Pair attempts of unknown outcome with listed videos that nobody has claimed.

    The oldest attempt takes the oldest video that fits; videos that somebody still waits for come
    before those that were cancelled, and attempts that are open before those that were given up.

    Args:
        listed: videos of the list that belong to no attempt yet.
        server_offset: the provider's clock minus ours.
    """
    free = sorted(listed, key=lambda found: (found.created_at is None, found.created_at))
    pairs = []
    for candidate in sorted(waiting, key=_rank):
        for place, found in enumerate(free):
            if _fits(provider, candidate, found, server_offset):
                pairs.append((candidate, free.pop(place)))
                break
    return pairs


def _rank(candidate: Open) -> tuple[bool, bool, object]:
    video, attempt = candidate
    return (
        attempt.state == AttemptState.ABANDONED,
        video.status in TERMINAL,
        attempt.sent_at,
    )


def _fits(
    provider: Provider, candidate: Open, found: ProviderVideo, server_offset: timedelta
) -> bool:
    video, attempt = candidate
    earliest = attempt.sent_at - CLOCK_SLACK + server_offset
    if found.created_at is not None and found.created_at < earliest:
        return False
    echoes = provider.profile.echoes
    expected: Sequence[tuple[str, str, str | None]] = (
        ("model", provider.upstream_model(video.model), found.model),
        ("seconds", video.seconds, found.seconds),
        ("size", video.size, found.size),
    )
    for name, ours, theirs in expected:
        # What a list does not show never disqualifies.
        if name in echoes and theirs is not None and ours != theirs:
            return False
    if "prompt" in echoes and found.prompt is not None:
        return plain(video.prompt) == plain(found.prompt)
    return True
