"""A stored file as the body of an answer."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.storage.contract import Content


class FileBody:
    """The content of an answer. Any WSGI server can iterate over it; one that knows it need not
    call a thread for what is at hand.
    """

    def __init__(self, content: Content):
        self._content = content

    def at_hand(self) -> bytes | None:
        """The next part, if nobody has to wait for it. None: iterating tells."""
        return self._content.at_hand()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._content.chunks
        finally:
            self.close()

    def close(self) -> None:
        """The client has it, or has gone."""
        self._content.close()
