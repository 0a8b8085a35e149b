"""What is told of a video's trace, and nobody who listens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done: its name, when it began and ended (seconds since 1970), what else is
    to be told of it, and why it failed, if it did.
    """

    name: str
    began: float
    ended: float
    attributes: Mapping[str, str | int | float]
    failure: str = ""


class Traces:
    """Writes spans once they are over. This one writes none."""

    on = False

    def root(self, video_id: str, deed: Deed, *, parent: str = "") -> None:
        """The first span of a video: the request that has made it. `parent`: the `traceparent` of
        that request, to which it is linked.
        """

    def span(self, video_ids: Iterable[str], deed: Deed) -> None:
        """One more span of each of these videos."""

    def close(self) -> None:
        """Send what waits."""
