"""Where the walks of whoever follows an account begin."""

from datetime import UTC, datetime

import pytest

from orchestrator.policies import PAGE_SIZE
from orchestrator.providers import ProviderVideo
from orchestrator.steps.trail import SKIP_LESS, Trail

ALL = 2000


def listed(newest, oldest=0):
    """The entries from this number down to that, as a list shows them."""
    return [
        ProviderVideo(
            id=f"raw_{n}",
            canonical_id=f"v_{n}",
            status="in_progress",
            raw_status="in_progress",
            created_at=datetime.fromtimestamp(1_800_000_000 + n, UTC),
        )
        for n in range(newest, oldest - 1, -1)
    ]


def after(trail):
    """The number of the newest entry that the next walk will show."""
    return ALL if trail.begin is None else int(trail.begin.removeprefix("raw_")) - 1


@pytest.mark.parametrize(
    ("first", "skipped"),
    [(0, 0), (SKIP_LESS, 0), (SKIP_LESS + PAGE_SIZE - 1, 0), (SKIP_LESS + PAGE_SIZE, PAGE_SIZE)],
)
def test_next_walk_begins_some_entries_before_the_first_that_was_wanted(first, skipped):
    """At the end of a page, as far before it as may become due meanwhile, or a little farther."""
    trail = Trail()

    trail.walked(listed(ALL), {f"v_{ALL - first}"})

    assert ALL - skipped == after(trail)


def test_walks_come_nearer_to_the_newest_by_the_marks_of_the_one_that_began_there():
    """What is newer than a walk has shown is known from the first one; then one shows all again."""
    trail = Trail()
    trail.walked(listed(ALL), {f"v_{ALL - 1000}"})
    begun = [after(trail)]

    for first in (850, 700, 450, 350):
        trail.walked(listed(after(trail)), {f"v_{ALL - first}", "v_0"})
        begun.append(after(trail))

    assert [700, 500, 400, 100, 0] == [ALL - newest for newest in begun]
    assert trail.begin is None


def test_walks_go_back_to_older_ones_when_those_are_wanted_again():
    """As far as there are marks: a walk that had seen all that was wanted has left no more."""
    trail = Trail()
    trail.walked(listed(ALL, 1000), {f"v_{ALL - 500}"})

    trail.walked(listed(after(trail)), {"v_10"})

    assert 1000 == after(trail)


@pytest.mark.parametrize("wanted", [set(), {"v_99999"}])
def test_walk_that_shows_nothing_wanted_is_followed_by_one_nearer_to_the_newest(wanted):
    """Whatever is missing may be there; where all of it is missing, the next one begins there."""
    trail = Trail()
    trail.walked(listed(ALL), {f"v_{ALL - 1000}"})

    trail.walked(listed(after(trail)), wanted)
    nearer = after(trail)
    trail.lost()

    assert 400 == ALL - nearer
    assert trail.begin is None
