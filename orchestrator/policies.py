"""How long, how often, how much: pure functions. `now` and the dice are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from orchestrator.lifecycle import Status

FREE_CALLS = 30.0
"""So many calls a second a list may always cost."""
LOOKS = 60
"""So often a list may be looked through while one of its videos is made, whatever that costs: where
most of what it shows is at work, that is less than a call for each.
"""
PAGE_SIZE = 100
"""So many videos a page of a provider's list shows."""
POLL_CEILING = 15.0
PICTURE_WAITS = (60.0, 300.0, 1200.0)
"""Seconds after which pictures that could not be fetched are tried again."""
DELIVERY_WAITS = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds from one attempt to deliver a webhook to the next; after as many, it is given up."""
CIRCUIT_FAILURES = 3
"""Failures in a row after which a receiver is only tried now and then."""
_CIRCUIT_CEILING = 300.0
ENOUGH_DURATIONS = 20
OBSERVED_DURATIONS = 50


def jittered(seconds: float, dice: float, *, spread: float = 0.2) -> float:
    """`seconds` ± `spread`; `dice` is uniform in 0..1."""
    return seconds * (1 - spread + 2 * spread * dice)


def backoff(base: float, failures: int, dice: float, *, ceiling: float) -> float:
    """Seconds to wait after the `failures`-th failure in a row: doubling from `base`, capped, ± 20
    %.
    """
    return jittered(min(ceiling, base * 2 ** min(max(failures - 1, 0), 30)), dice)


def typical_duration(observed: Sequence[float]) -> float | None:
    """How long videos take of which some took so long (seconds); None: too few to tell."""
    return median(observed) if len(observed) >= ENOUGH_DURATIONS else None


def poll_delay(
    age: float,
    minimum: float,
    dice: float,
    *,
    typical: float | None = None,
    hint: float | None = None,
) -> float:
    """Seconds until the next look at a video that has been at work for `age` seconds.

    Until it is known how long such videos take: `minimum`, then x 1.5 up to 15 s. Then by its age
    against that: sparse before half of it, dense around it, sparse again after twice. A hint of the
    provider is a lower bound.
    """
    if typical is not None:
        if age < typical / 2:
            wait = max(minimum, typical / 2 - age)
        elif age < typical * 2:
            wait = minimum
        else:
            wait = min(max(minimum, POLL_CEILING), max(minimum, (age - typical) / 4))
    else:
        wait = min(max(minimum, POLL_CEILING), minimum + age / 2)
    return max(hint or 0.0, jittered(wait, dice))


def delivery_wait(attempts: int, dice: float, *, asked: float | None = None) -> float | None:
    """Seconds until a webhook is sent again that was sent `attempts` times; None: never. The
    receiver may ask for longer.
    """
    if attempts > len(DELIVERY_WAITS):
        return None
    return max(asked or 0.0, jittered(DELIVERY_WAITS[attempts - 1], dice, spread=0.1))


def circuit_wait(failures: int, dice: float) -> float:
    """Seconds for which a receiver that has failed so often in a row is left alone."""
    if failures < CIRCUIT_FAILURES:
        return 0.0
    return backoff(
        DELIVERY_WAITS[0], failures - CIRCUIT_FAILURES + 1, dice, ceiling=_CIRCUIT_CEILING
    )


def follow_delay(minimum: float, listed: int, watched: int, *, expected: float = 0.0) -> float:
    """Seconds from one look through a list to the next: as between two looks at one video, or down
    to half of that where a page shows at least half as many videos that we want to know about. More
    than FREE_CALLS a second are made only as far as the LOOKS need them.

    expected: seconds that these videos take, as far as that is known.
    """
    base = minimum * min(1.0, max(0.5, listed / max(1, 4 * watched)))
    thrifty = listed / PAGE_SIZE / FREE_CALLS
    return max(base, min(thrifty, expected / LOOKS, POLL_CEILING))


def client_delay(age: float) -> float:
    """Seconds after which a client may ask again for a video of this age: 5 at first, 15 from two
    minutes on.
    """
    return min(max(5.0, 5.0 + age / 12), 15.0)


def cache_ttl(status: str) -> int:
    """Seconds that a video of this status may stay in the cache."""
    return 3600 if status == Status.COMPLETED else 300


def default_videos_limit(user_id: str) -> int:
    """Videos a month for a user of whom nobody said otherwise."""
    return {"admin": 1000, "anonymous": 10}.get(user_id, 100)
