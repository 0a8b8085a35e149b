"""How long, how often, how much: pure functions. `now` and the dice are arguments."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from orchestrator.lifecycle import Status

POLL_CEILING = 15.0
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


def poll_delay(
    age: float,
    minimum: float,
    dice: float,
    *,
    observed: Sequence[float] = (),
    hint: float | None = None,
) -> float:
    """Seconds until the next look at a video that has been at work for `age` seconds.

    Until enough durations were observed: `minimum`, then x 1.5 up to 15 s. Then by its age against
    their median: sparse before half of it, dense around it, sparse again after twice. A hint of
    the provider is a lower bound.
    """
    if len(observed) >= ENOUGH_DURATIONS:
        typical = median(observed)
        if age < typical / 2:
            wait = max(minimum, typical / 2 - age)
        elif age < typical * 2:
            wait = minimum
        else:
            wait = min(max(minimum, POLL_CEILING), max(minimum, (age - typical) / 4))
    else:
        wait = min(max(minimum, POLL_CEILING), minimum + age / 2)
    return max(hint or 0.0, jittered(wait, dice))


def cache_ttl(status: str) -> int:
    """Seconds that a video of this status may stay in the cache."""
    return 3600 if status == Status.COMPLETED else 300


def default_videos_limit(user_id: str) -> int:
    """Videos a month for a user of whom nobody said otherwise."""
    return {"admin": 1000, "anonymous": 10}.get(user_id, 100)
