"""Where looks through a long list begin: not at the newest, which cannot be done yet, but a little
before the first that is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.policies import PAGE_SIZE
from orchestrator.providers import ProviderVideo

SKIP_LESS = 300
"""A walk begins so many entries before the first that the last one wanted: what is due next may be
a little newer. That one was the earliest of many, so the next is rarely earlier.
"""


class Trail:
    """Marks that a walk from the newest on has left, one a page. Later walks begin at one of them,
    which come nearer to the newest as younger videos become due, until there is none left: then one
    begins at the newest again, and leaves new ones.
    """

    def __init__(self) -> None:
        self._marks: Sequence[str] = ()
        self._page = 0

    @property
    def begin(self) -> str | None:
        """The provider's id after which the next walk begins; None: at the newest."""
        return self._marks[self._page - 1] if self._page else None

    def walked(self, found: Sequence[ProviderVideo], wanted: Collection[str]) -> None:
        """A walk from there has shown these, the newest first; `wanted`: canonical ids."""
        if self._page == 0:
            self._marks = [video.id for video in found[PAGE_SIZE - 1 :: PAGE_SIZE]]
        places = (n for n, video in enumerate(found) if video.canonical_id in wanted)
        first = self._page * PAGE_SIZE + next(places, 0)
        self._page = min(max(0, first - SKIP_LESS) // PAGE_SIZE, len(self._marks))

    def lost(self) -> None:
        """Begin at the newest."""
        self._page = 0
